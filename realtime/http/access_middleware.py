"""Checks every request and every handshake with `Access`, before anything of it is read.

It puts who was let in into the scope (`grant_of`), a request id and CORS headers on every answer, and bounds bodies in
size and time. A WebSocket is refused by the answer to its handshake: clients see a status and a sentence, not a close
code.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from protocol.errors import Refused
from realtime.access.credentials import redacted_query
from realtime.access.policy import Access, Denied, Grant, Head
from realtime.http.replies import refusal, reply_to
from realtime.ids import new_id

log = logging.getLogger("voiced.http")

BODY_DEADLINE_S = 30.0
_PREFLIGHT_S = 600
_MOST_HEADERS = 2048
_ABSOLUTE_FORM = re.compile(rb"https?://(?P<host>[^/@]+)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)
_EXPOSED_HEADERS = "Location, x-request-id"


def grant_of(connection: HTTPConnection) -> Grant:
    """Return who a request comes from."""
    grant = connection.scope["state"]["grant"]
    assert isinstance(grant, Grant)
    return grant


class AccessMiddleware:
    """Passes a request on to its route only if it may reach it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        _use_origin_form(scope)
        head = _head(scope)
        scope["query_string"] = redacted_query(scope["query_string"])  # from here on it may be logged
        request_id = new_id("req_")
        origin = head.headers.get("origin")
        tagged = _Tagged(send, request_id, origin if self._access.shares_with(origin) else None)
        try:
            if scope["type"] == "http" and _is_preflight(head):
                await self._preflight(head)(scope, receive, tagged.send)
                return
            rule, grant = self._access.admit(head, time.time())
        except Denied as denied:
            await _refuse(reply_to(denied, denied.headers), scope, receive, tagged.send)
            return
        scope.setdefault("state", {})["grant"] = grant
        if scope["type"] == "websocket":
            await self._app(scope, receive, tagged.send)
            return
        declared = head.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > rule.max_body_bytes:
            await reply_to(_too_large(rule.max_body_bytes))(scope, receive, tagged.send)
            return
        try:
            await self._app(scope, _Body(receive, rule.max_body_bytes).receive, tagged.send)
        except ClientDisconnect:  # no client is left to be answered
            return
        except Exception:  # the boundary of this request
            log.exception("request %s to %s failed", request_id, rule.path)
            if tagged.begun:
                raise
            message = f"The server failed to answer; its log says why under {request_id}."
            await refusal(500, "internal_error", message)(scope, receive, tagged.send)

    def _preflight(self, head: Head) -> Response:
        allowed = {
            "Access-Control-Allow-Methods": ", ".join([*self._access.preflight(head), "OPTIONS"]),
            # the page's origin is what counts; clients send headers of many names with their key
            "Access-Control-Allow-Headers": head.headers.get("access-control-request-headers", "")[:_MOST_HEADERS],
            "Access-Control-Max-Age": str(_PREFLIGHT_S),
        }
        return Response(status_code=204, headers=allowed)


class _Tagged:
    """Adds to an answer the headers that every answer has."""

    def __init__(self, send: Send, request_id: str, shared_with: str | None) -> None:
        self._send = send
        self._request_id = request_id
        self._shared_with = shared_with
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            self.begun = True
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            if self._shared_with is not None:
                headers["Access-Control-Allow-Origin"] = self._shared_with
                headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
                headers.add_vary_header("Origin")
        await self._send(message)


class _Body:
    """Reads a body up to a size and a deadline, so that nobody holds a request open by sending slowly."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._left = limit
        self._deadline = asyncio.get_running_loop().time() + BODY_DEADLINE_S
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            text = f"The body did not arrive within {BODY_DEADLINE_S:g} s; send it again."
            raise Refused("request_timeout", text) from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large(self._limit)
        self._whole = not message.get("more_body", False)
        return message


def _head(scope: Scope) -> Head:
    websocket = scope["type"] == "websocket"
    return Head(
        method="WEBSOCKET" if websocket else scope["method"],
        path=scope["path"],
        headers=dict(Headers(scope=scope)),
        subprotocols=scope["subprotocols"] if websocket else (),
        query=scope["query_string"].decode("latin-1"),
    )


def _use_origin_form(scope: Scope) -> None:
    """Take `http://host/path` for `/path` at that host, whatever the Host header says (RFC 9112 section 3.2.2)."""
    absolute = _ABSOLUTE_FORM.fullmatch(scope["raw_path"])
    if absolute is None:
        return
    scope["raw_path"] = absolute["path"] or b"/"
    scope["path"] = unquote(scope["raw_path"].decode("ascii"))
    others = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
    scope["headers"] = [*others, (b"host", absolute["host"])]


def _is_preflight(head: Head) -> bool:
    return head.method == "OPTIONS" and "origin" in head.headers and "access-control-request-method" in head.headers


def _too_large(limit: int) -> Refused:
    fix = f"The body may have at most {limit} bytes here; send less." if limit else "No body is read here; send none."
    return Refused("request_too_large", fix)


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
