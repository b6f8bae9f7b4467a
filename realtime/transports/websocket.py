"""`/v1/realtime`: the Realtime protocol over WebSocket, as JSON text or msgpack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from msgspec import UNSET
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from protocol.client_events import ClientEvent, InputAudioAppend, ItemCreate, ResponseCreate
from protocol.encodings import JSON, JSON_PROTOCOL, MSGPACK, MSGPACK_PROTOCOL, BadMessage, Encoding
from protocol.objects import ErrorBody
from protocol.server_events import ServerEvent
from realtime.transports.link import PING_TIMEOUT_S, SCOPE_KEY, Link

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""A reference clip of 30 s is 1.4 MB of PCM, 1.9 MB in base64."""

_MAX_PLAIN_BYTES = 256 * 1024
_WITH_AUDIO = (InputAudioAppend, ItemCreate, ResponseCreate)
"""Events that may hold clips; all others are bounded more tightly."""


def pick_encoding(offered: list[str]) -> tuple[Encoding, str | None]:
    """The encoding and sub-protocol for what a client offers; none offered means JSON."""
    if MSGPACK_PROTOCOL in offered:
        return MSGPACK, MSGPACK_PROTOCOL
    return JSON, JSON_PROTOCOL if JSON_PROTOCOL in offered else None


class WebSocketWire:
    """A WebSocket as a `Wire`."""

    def __init__(self, websocket: WebSocket, encoding: Encoding) -> None:
        self._websocket = websocket
        self._encoding = encoding
        link = websocket.scope["extensions"].get(SCOPE_KEY)
        self.link: Link | None = link if isinstance(link, Link) else None

    @property
    def stalled(self) -> bool:
        return self.link is not None and self.link.stalled

    async def send(self, event: ServerEvent) -> None:
        data = self._encoding.encode(event)
        try:
            async with asyncio.timeout(PING_TIMEOUT_S + 1.0):
                if self._encoding.binary:
                    await self._websocket.send_bytes(data)
                else:
                    await self._websocket.send_text(data.decode())
        except TimeoutError:
            if self.link is not None:
                self.link.abort()
            raise ConnectionError("the client stopped reading") from None
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError("the client is gone") from error

    async def close(self, code: int, reason: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.close(code, reason)
            except RuntimeError as error:
                raise ConnectionError("the client is gone") from error

    async def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text, data = message.get("text"), message.get("bytes")
            if (data is not None) != self._encoding.binary:
                wanted = "binary msgpack" if self._encoding.binary else "JSON text"
                explained = f"This connection speaks {wanted}; send messages of that kind."
                yield BadMessage(ErrorBody("invalid_request_error", "wrong_message_kind", explained))
                continue
            body = data if data is not None else str(text).encode()
            try:
                event = self._encoding.decode_client(body)
            except BadMessage as bad:
                yield bad
                continue
            if len(body) > _MAX_PLAIN_BYTES and not isinstance(event, _WITH_AUDIO):
                yield BadMessage(_too_large(event, len(body)))
            else:
                yield event


def _too_large(event: ClientEvent, size: int) -> ErrorBody:
    event_id = None if event.event_id is UNSET else event.event_id
    message = f"The message has {size} bytes; one of this kind may have {_MAX_PLAIN_BYTES}."
    return ErrorBody("invalid_request_error", "message_too_large", message, None, event_id)
