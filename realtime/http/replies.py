"""How the HTTP side answers: JSON, and every error in the shape that OpenAI's clients read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

_T = TypeVar("_T")
_SHOWN = 200
"""Characters of a client's own names that an error repeats."""

_CODES = {400: "invalid_request", 404: "unknown_url", 405: "method_not_allowed", 413: "request_too_large"}


class Json(Response):
    """A struct, or anything msgspec encodes."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


class Refusal(Exception):
    """Raised to answer a request with an error. `param` names the field; `retry_after_s` says when to come back."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.response = refusal(status, code, message, retry_after_s, param=param)


class _ErrorBody(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


def refusal(
    status: int,
    code: str,
    message: str,
    retry_after_s: int | None = None,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as HTTP, for requests and for handshakes that are refused."""
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    retry = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    body = {"error": _ErrorBody(message, kind, param, code)}
    return Json(body, status_code=status, headers={**(headers or {}), **retry})


def decoded(body: bytes, kind: type[_T]) -> _T:
    """A JSON body as what it should be. Raises Refusal that names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        param = path.strip("`").removeprefix("$").removeprefix(".")[:_SHOWN]
        named = re.search(r"^Object (contains unknown|missing required) field `(.*)`", message, re.DOTALL)
        if named is None:
            where = f"The field {param!r}" if param else "The body"
            raise Refusal(400, "invalid_value", f"{where} is not valid: {message[:_SHOWN]}.", param or None) from None
        field = f"{param}.{named[2][:_SHOWN]}".removeprefix(".")
        if named[1] == "missing required":
            raise Refusal(400, "missing_required_parameter", f"The field {field!r} is missing.", field) from None
        raise Refusal(400, "unknown_parameter", f"There is no field {field!r}; remove it.", field) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = str(error).removeprefix("JSON is malformed: ")[:_SHOWN]
        raise Refusal(400, "invalid_json", f"The body is not valid JSON: {detail}.") from None


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response


async def _http_error(_request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: forms it cannot parse, paths without a route."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "invalid_request")
    return refusal(error.status_code, code, f"{error.detail.rstrip('.')}.", headers=error.headers)


ERROR_HANDLERS: dict[type[Exception], ExceptionHandler] = {Refusal: _refused, HTTPException: _http_error}
"""For the application: exceptions as answers."""
