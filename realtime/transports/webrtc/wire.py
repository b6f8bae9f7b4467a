"""Presents a call's data channel, and those who take part beside it, as a session's `Wire`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from protocol.client_events import ClientEvent
from protocol.encodings import JSON, BadMessage
from protocol.errors import Refused
from protocol.objects import ErrorBody
from protocol.server_events import Error, ServerEvent
from realtime.ids import new_id
from realtime.rtc.peer import Peer
from realtime.transports.webrtc.sideband import Sideband

log = logging.getLogger("voiced.webrtc")

_MANY_MESSAGES = 256
_MANY_BYTES = 256 * 1024
_PATIENCE_S = 5.0
"""How long a caller with too many unacknowledged events may take before the call counts as broken."""

_MOST_SIDEBANDS = 8


class WebRtcWire:
    """Carries a session over the call's data channel and its sidebands. `attach` gives it the peer."""

    def __init__(self) -> None:
        self._peer: Peer | None = None
        self._incoming: asyncio.Queue[ClientEvent | BadMessage | None] = asyncio.Queue(_MANY_MESSAGES)
        self._sidebands: set[Sideband] = set()
        self.ended = False
        """Whether the call is over: nothing more comes or goes."""

    def attach(self, peer: Peer) -> None:
        """Take the peer whose channel carries the events."""
        self._peer = peer

    @property
    def stalled(self) -> bool:
        return self._peer is not None and self._peer.away

    async def send(self, event: ServerEvent) -> None:
        for sideband in self._sidebands:
            sideband.put(event)
        peer = self._peer
        if peer is None or not peer.connected:
            raise ConnectionError("the caller is gone")
        data = JSON.encode(event)
        if len(data) > peer.max_message_bytes:
            data = JSON.encode(_too_large(event, len(data), peer.max_message_bytes))
        if peer.messages_bytes_waiting > _MANY_BYTES:
            await self._acknowledged(peer)
        peer.send_message(data.decode())

    async def _acknowledged(self, peer: Peer) -> None:
        """Wait until few bytes are unacknowledged, since a data channel takes everything at once and keeps it in memory
        here.

        Raises ConnectionError for a caller that takes no events.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while peer.messages_bytes_waiting > _MANY_BYTES:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise ConnectionError("the caller takes no events") from None

    async def close(self, code: int, reason: str) -> None:
        self.end(ErrorBody("server_error", "call_ended", reason))

    async def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        while (message := await self._incoming.get()) is not None:
            yield message
            await asyncio.sleep(0)  # lets other tasks run between the events of a client that sends many

    def on_message(self, text: str) -> None:
        """Take a message of the caller's. Too many at once end the call, since a data channel cannot be told to
        wait.
        """
        if self.ended:
            return
        if self._incoming.full():
            log.warning("a caller sends events faster than they are served and is hung up on")
            message = "Events came faster than they are served; send fewer at once, and call again."
            self.end(ErrorBody("invalid_request_error", "too_many_events", message))
            return
        try:
            self._incoming.put_nowait(JSON.decode_client(text.encode()))
        except BadMessage as bad:
            self._incoming.put_nowait(bad)

    async def take(self, message: ClientEvent | BadMessage) -> None:
        """Take a message of a sideband's, waiting until there is room for it."""
        await self._incoming.put(message)

    def join(self, sideband: Sideband) -> None:
        """Let a sideband take part. Raises Refused."""
        if self.ended:
            raise Refused("call_not_found", "The call is over.", "call_id")
        if len(self._sidebands) >= _MOST_SIDEBANDS:
            message = f"{_MOST_SIDEBANDS} others take part in this call already; one of them has to leave first."
            raise Refused("too_many_sidebands", message, "call_id")
        self._sidebands.add(sideband)

    def leave(self, sideband: Sideband) -> None:
        """Let a sideband go."""
        self._sidebands.discard(sideband)

    def end(self, error: ErrorBody | None = None) -> None:
        """Hang up; with `error` the client is told why. Messages that were not served yet are dropped.

        May be called twice.
        """
        if self.ended:
            return
        self.ended = True
        if error is not None:
            event = Error(event_id=new_id("event_"), error=error)
            for sideband in self._sidebands:
                sideband.put(event)
            if self._peer is not None:
                self._peer.send_message(JSON.encode(event).decode())
        while not self._incoming.empty():
            self._incoming.get_nowait()
        self._incoming.put_nowait(None)
        for sideband in self._sidebands:
            sideband.end()
        if self._peer is not None:
            self._peer.close()


def _too_large(event: ServerEvent, size: int, limit: int) -> Error:
    kind = type(event).__struct_config__.tag
    message = f"The event {kind} has {size} bytes and the call's data channel takes {limit}; a sideband takes it whole."
    return Error(event_id=new_id("event_"), error=ErrorBody("invalid_request_error", "message_too_large", message))
