"""Serves `GET /` and `GET /browser/{name}`: the page that talks and listens, and the module that other pages can use.

The files are read once, at import, into a fixed table: a path that comes from a client is looked up there and never
opened. The page may load from, and connect to, its own server only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from protocol.errors import Refused

_FOLDER = files("clients") / "browser"
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = "; ".join(
    [
        "default-src 'self'",
        # default-src does not cover these three
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "Cache-Control": "no-cache",  # browsers keep it and ask each time, so that page and server are of one version
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class _File:
    body: bytes
    media_type: str
    etag: str


def _read() -> Mapping[str, _File]:
    table = {}
    for path in _FOLDER.iterdir():
        media_type = _MEDIA_TYPES.get(path.name.rpartition(".")[2])
        if media_type is not None:
            body = path.read_bytes()
            table[path.name] = _File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return table


FILES = _read()
"""The files that are served, by name."""


async def page(request: Request) -> Response:
    """Answer with the page itself."""
    return _answer(request, FILES["index.html"])


async def asset(request: Request) -> Response:
    """Answer with a file of the page, or of the module, by its name. Raises Refused where there is none."""
    file = FILES.get(str(request.path_params["name"]))
    if file is None:
        raise Refused("unknown_url", "The page has no such file; open / for the page.")
    return _answer(request, file)


def _answer(request: Request, file: _File) -> Response:
    headers = {**_HEADERS, "ETag": file.etag}
    known = (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(","))
    if file.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)
