"""Answers over HTTP: JSON, and every error in the shape that OpenAI's clients read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from protocol.errors import Refused

_T = TypeVar("_T")
_SHOWN = 200
"""Bounds how many characters of a client's own names an error repeats."""

_STATUSES = {
    "invalid_api_key": 401,
    "host_not_allowed": 403,
    "origin_not_allowed": 403,
    "secret_not_allowed": 403,
    "method_not_allowed": 405,
    "websocket_expected": 426,
    "unknown_url": 404,
    "model_not_found": 404,
    "voice_not_found": 404,
    "call_not_found": 404,
    "voice_limit_reached": 403,
    "voice_not_deletable": 403,
    "request_timeout": 408,
    "voice_exists": 409,
    "request_too_large": 413,
    "unsupported_media_type": 415,
    "too_many_secrets": 429,
    "overloaded": 429,
    "rate_limit_exceeded": 429,
    "upload_not_kept": 500,
    "upload_not_deleted": 500,
    "engine_not_ready": 503,
    "engine_failed": 503,
    "too_many_sessions": 503,
    "too_many_offers": 503,
    "too_many_sidebands": 503,
    "uploads_busy": 503,
    "no_address": 503,
    "recogniser_unavailable": 503,
    "server_draining": 503,
}
"""The HTTP status of each error code that is not answered with 400."""

_CODES = {400: "invalid_request", 404: "unknown_url", 405: "method_not_allowed", 413: "request_too_large"}


class Json(Response):
    """Answers with a struct, or anything else that msgspec encodes."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


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
    """Write an error as an HTTP answer, to a request or to a handshake that is refused."""
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    retry = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    last = {"Connection": "close"} if status in (408, 413) else {}  # the rest of the body will not be read
    body = {"error": _ErrorBody(message, kind, param, code)}
    return Json(body, status_code=status, headers={**(headers or {}), **retry, **last})


def decoded(body: bytes, kind: type[_T]) -> _T:
    """Decode a JSON body as a `kind`. Raises Refused that names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        param = path.strip("`").removeprefix("$").removeprefix(".")[:_SHOWN]
        named = re.search(r"^Object (contains unknown|missing required) field `(.*)`", message, re.DOTALL)
        if named is None:
            where = f"The field {param!r}" if param else "The body"
            raise Refused("invalid_value", f"{where} is not valid: {message[:_SHOWN]}.", param or None) from None
        field = f"{param}.{named[2][:_SHOWN]}".removeprefix(".")
        if named[1] == "missing required":
            raise Refused("missing_required_parameter", f"The field {field!r} is missing.", field) from None
        raise Refused("unknown_parameter", f"There is no field {field!r}; remove it.", field) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = str(error).removeprefix("JSON is malformed: ")[:_SHOWN]
        raise Refused("invalid_json", f"The body is not valid JSON: {detail}.") from None


def status_of(code: str) -> int:
    """Return the HTTP status for an error code; 400 for everything that is the request's own fault."""
    return _STATUSES.get(code, 400)


def reply_to(refused: Refused, headers: Mapping[str, str] | None = None) -> Response:
    """Word a refusal for HTTP: as the answer to a request, or to a WebSocket's handshake."""
    status, code = status_of(refused.code), refused.code
    return refusal(status, code, str(refused), refused.retry_after_s, param=refused.param, headers=headers)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return reply_to(error)


async def _http_error(_request: Request, error: Exception) -> Response:
    """Answer what Starlette itself refuses: forms it cannot parse, paths without a route."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "invalid_request")
    return refusal(error.status_code, code, f"{error.detail.rstrip('.')}.", headers=error.headers)


ERROR_HANDLERS: dict[type[Exception], ExceptionHandler] = {Refused: _refused, HTTPException: _http_error}
"""Tells Starlette how to answer each kind of exception."""
