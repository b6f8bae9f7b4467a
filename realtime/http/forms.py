"""Multipart forms as clients send them: known fields, each as often as it may be there, text in UTF-8."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from protocol.errors import Refused

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:+-]*)["']?""", re.IGNORECASE)
_MAX_TEXT_BYTES = 16 * 1024
_MOST_REPEATED = 8
_SHOWN = 100


async def read_form(request: Request, fields: Sequence[str], repeated: Collection[str] = ()) -> FormData:
    """The form of a request, whose fields are among `fields`; those `repeated` may be there more than once. Its texts
    are to be read with `text_of`, and whoever asked closes it. Raises Refused that names the field."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Refused("invalid_content_type", f"Send multipart/form-data with the parts {', '.join(fields)}.")
    unreadable = Refused("invalid_request", "The form cannot be read; send it in UTF-8.")
    stated = _CHARSET.search(request.headers["content-type"])
    if stated is not None and stated[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise unreadable
    # what is no UTF-8 would be taken for Latin-1: so all is, and every text is decoded as it is looked at
    headers = [pair for pair in request.headers.raw if pair[0] != b"content-type"]
    kind = _CHARSET.sub("", request.headers["content-type"]) + "; charset=latin-1"
    bytewise = Request(
        {**request.scope, "headers": [*headers, (b"content-type", kind.encode("latin-1"))]}, request.receive
    )
    most = len(fields) + _MOST_REPEATED * len(repeated)
    try:
        form = await bytewise.form(max_files=1, max_fields=most, max_part_size=_MAX_TEXT_BYTES)
    except (LookupError, ValueError):  # an encoding of the form's own that is none
        raise unreadable from None
    for field in form:
        wrong = None
        if field not in fields:
            message = f"There is no part {field[:_SHOWN]!r}; the parts are {', '.join(fields)}."
            wrong = Refused("unknown_parameter", message, field[:_SHOWN])
        elif len(form.getlist(field)) > 1 and field not in repeated:
            wrong = Refused("invalid_value", f"The part {field!r} is there more than once; send one.", field)
        if wrong is not None:
            await form.close()
            raise wrong
    return form


def text_of(value: UploadFile | str, field: str) -> str:
    """The text of a part, each run of whitespace a space. Raises Refused that names the field."""
    if not isinstance(value, str):
        raise Refused("invalid_value", f"The part {field!r} is text; send it without a filename.", field)
    try:
        return " ".join(value.encode("latin-1").decode("utf-8").split())
    except UnicodeError:
        raise Refused("invalid_value", f"The part {field!r} is not UTF-8; send it in that encoding.", field) from None
