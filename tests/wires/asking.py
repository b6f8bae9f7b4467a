"""Scope: HTTP requests as a stock client makes them, over a socket."""

from __future__ import annotations

import asyncio
import http.client
import json
from dataclasses import dataclass
from typing import Any

_BOUNDARY = "----a-boundary-0123456789"
_HOP_BY_HOP = {"date", "connection", "keep-alive"}


@dataclass(frozen=True)
class Reply:
    """What came back; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def shown(self, *without: str) -> dict[str, Any]:
        """It all, but for the headers that every hop makes anew and those to be left out; JSON is shown as such."""
        left_out = _HOP_BY_HOP | set(without)
        headers = {name: value for name, value in sorted(self.headers.items()) if name not in left_out}
        is_json = bool(self.body) and self.headers.get("content-type", "") == "application/json"
        if is_json:
            headers.pop("content-length", None)  # it goes with the length of ids and times
        return {"status": self.status, "headers": headers, "body": self.json if is_json else self.body.decode()}


async def ask(
    address: str,
    method: str,
    path: str,
    body: bytes | dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    *,
    key: str = "",
) -> Reply:
    """One request on a connection of its own. A dict is sent as JSON."""
    sent = dict(headers or {})
    if key:
        sent["Authorization"] = f"Bearer {key}"
    if isinstance(body, dict):
        sent["Content-Type"] = "application/json"
        body = json.dumps(body).encode()

    def fetch() -> Reply:
        connection = http.client.HTTPConnection(address, timeout=120)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    return await asyncio.to_thread(fetch)


async def handshake(address: str, path: str, headers: dict[str, str] | None = None, *, key: str = "") -> Reply:
    """A WebSocket handshake that is to be refused, as HTTP."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    return await ask(address, "GET", path, None, {**upgrade, **(headers or {})}, key=key)


def form(*parts: tuple[str, str | bytes]) -> tuple[bytes, dict[str, str]]:
    """A multipart body and its headers; bytes go as a file."""
    body = b""
    for name, value in parts:
        filename = '; filename="clip.flac"' if isinstance(value, bytes) else ""
        body += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode()
        body += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    body += f"--{_BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
