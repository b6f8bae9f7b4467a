"""Carries whole messages over a WebSocket, and raises an error for a client that is gone or stuck."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from realtime.http.websocket_connection import PING_TIMEOUT_S, SCOPE_KEY, WebSocketConnection


class ClientSocket:
    """Sends and receives on one accepted connection. Messages are bytes; a text message is given as its UTF-8."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        link = websocket.scope["extensions"].get(SCOPE_KEY)
        self._link: WebSocketConnection | None = link if isinstance(link, WebSocketConnection) else None

    @property
    def stalled(self) -> bool:
        """Tell whether the client has stopped taking what was sent."""
        return self._link is not None and self._link.stalled

    @property
    def drain(self) -> asyncio.Event:
        """Return the event that is set when the server is about to stop."""
        return asyncio.Event() if self._link is None else self._link.drain

    async def send(self, data: bytes, *, binary: bool = False) -> None:
        """Send a message. Raises ConnectionError when the client is gone or takes nothing."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S + 1.0):
                if binary:
                    await self._websocket.send_bytes(data)
                else:
                    await self._websocket.send_text(data.decode())
        except TimeoutError:
            if self._link is not None:
                self._link.abort()
            raise ConnectionError("the client stopped reading") from None
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError("the client is gone") from error

    async def close(self, code: int, reason: str) -> None:
        """End the connection. Raises ConnectionError when the client is gone."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.close(code, reason)
            except RuntimeError as error:
                raise ConnectionError("the client is gone") from error

    async def messages(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Yield messages until the client leaves, each with whether it is a binary one."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            yield (str(message.get("text")).encode(), False) if data is None else (data, True)

    async def incoming(self) -> AsyncIterator[bytes]:
        """Yield messages until the client leaves. Binary ones are given like text, since some clients send JSON in
        them.
        """
        async for data, _ in self.messages():
            yield data
