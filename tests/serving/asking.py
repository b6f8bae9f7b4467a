"""Scope: HTTP requests as a stock client makes them, over a socket, with nothing of ours in them."""

import asyncio
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

BOUNDARY = "----a-boundary-0123456789"


@dataclass
class Reply:
    """What came back; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error, in the one shape there is."""
        assert self.status >= 400, self.body
        assert list(self.json) == ["error"]
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"].endswith(".")
        return error


async def ask(
    address: str,
    method: str,
    path: str,
    body: bytes | dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    *,
    key: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """One request on a connection of its own. A dict is sent as JSON."""
    sent = dict(headers or {})
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    if isinstance(body, dict):
        sent["Content-Type"] = "application/json"
        body = json.dumps(body).encode()

    def fetch() -> Reply:
        if tls is None:
            connection = http.client.HTTPConnection(address, timeout=60)
        else:
            connection = http.client.HTTPSConnection(address, timeout=60, context=tls)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    return await asyncio.to_thread(fetch)


async def handshake(address: str, path: str, headers: dict[str, str] | None = None) -> Reply:
    """A WebSocket handshake as HTTP: 101, or the refusal."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    return await ask(address, "GET", path, None, {**upgrade, **(headers or {})})


def form(*parts: tuple[str, str | bytes]) -> tuple[bytes, dict[str, str]]:
    """A multipart body and its headers; bytes go as a file."""
    body = b""
    for name, value in parts:
        filename = '; filename="clip.wav"' if isinstance(value, bytes) else ""
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode()
        body += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
