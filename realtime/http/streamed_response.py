"""Sends an HTTP answer in pieces, to a client that may be slow or leave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from realtime.http.http_connection import http_connection_of


class StreamedResponse:
    """Sends one successful answer: `begin`, then `write` until the last piece.

    Both drop a client that has taken nothing for `stall_s` seconds, and raise ConnectionError when it is gone.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, stall_s: float) -> None:
        """Take a request whose body has been read."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._stall_s = stall_s
        self.begun = False

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Send the head. After it there is no way to fail but to break off."""
        self.begun = True
        await self._put({"type": "http.response.start", "status": 200, "headers": Headers(headers).raw})

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send more of the body; return when the connection has room for it."""
        await self._put({"type": "http.response.body", "body": data, "more_body": not last})

    async def over(self) -> None:
        """Wait until the answer is whole or the client is gone: ASGI tells either as a disconnect."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _put(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await self._send(message)
        except TimeoutError:
            if (link := http_connection_of(self._scope)) is not None:
                link.abort()
            raise ConnectionError("the client stopped reading") from None
        except OSError as error:
            raise ConnectionError("the client is gone") from error
