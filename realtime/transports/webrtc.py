"""A WebRTC call as a session's wire: events over the data channel, the user's audio in, the session's audio out."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine

from codec_stream.incoming import IncomingAudio, IncomingStats
from codec_stream.packets import AudioPacket, packet_encoder
from protocol.client_events import ClientEvent
from protocol.encodings import JSON, BadMessage
from protocol.objects import ErrorBody
from protocol.server_events import Error, ServerEvent, SessionCreated
from realtime.rtc.peer import Peer, PeerConfig
from realtime.rtc.sdp import Offer
from realtime.transports.call import Call, Wire
from realtime.transports.sideband import Sideband
from realtime.transports.speaker import Speaker
from realtime.webrtc_meters import PacketTotals, WebRtcMeters

log = logging.getLogger("voiced.webrtc")

_PAUSE_S = 5.0
"""A listener of whom nothing has come for so long may be gone: nothing more is made for it until something comes."""

_LOOK_EVERY = 250
_MANY_MESSAGES = 256
_MANY_BYTES = 1024 * 1024


class WebRtcWire:
    """The call's data channel and sidebands as a `Wire`. `attach` gives it the peer."""

    def __init__(self) -> None:
        self._peer: Peer | None = None
        self._incoming: asyncio.Queue[ClientEvent | BadMessage | None] = asyncio.Queue(_MANY_MESSAGES)
        self.sidebands: set[Sideband] = set()

    def attach(self, peer: Peer) -> None:
        """The peer whose channel it is."""
        self._peer = peer

    @property
    def stalled(self) -> bool:
        return self._peer is not None and self._peer.silent_s(time.monotonic()) > _PAUSE_S

    async def send(self, event: ServerEvent) -> None:
        peer = self._peer
        if peer is None or not peer.connected:
            raise ConnectionError("the caller is gone")
        if peer.messages_bytes_waiting > _MANY_BYTES:
            raise ConnectionError("the caller takes no events")
        peer.send_message(JSON.encode(event).decode())
        for sideband in self.sidebands:
            sideband.put(event)

    async def close(self, code: int, reason: str) -> None:
        if self._peer is not None:
            body = ErrorBody("server_error", "call_ended", reason)
            self._peer.send_message(JSON.encode(Error(event_id=f"event_end_{code}", error=body)).decode())
            self._peer.close()

    async def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        while (message := await self._incoming.get()) is not None:
            yield message
            await asyncio.sleep(0)  # others have their turn between the events of one who sends many

    def on_message(self, text: str) -> None:
        """A message of the caller's."""
        try:
            self.put(JSON.decode_client(text.encode()))
        except BadMessage as bad:
            self.put(bad)

    def put(self, message: ClientEvent | BadMessage) -> None:
        """An event of the caller or of a sideband. Too many at once end the call: a data channel cannot be told to
        wait."""
        if self._incoming.full():
            log.warning("a caller sends events faster than they are served and is hung up on")
            self.end()
        else:
            self._incoming.put_nowait(message)

    def end(self) -> None:
        """Nothing more comes in."""
        while self._incoming.full():
            self._incoming.get_nowait()
        self._incoming.put_nowait(None)
        for sideband in self.sidebands:
            sideband.end()


class WebRtcCall:
    """One call from its offer to its end."""

    def __init__(self, call_id: str, meters: WebRtcMeters) -> None:
        self.id = call_id
        self.wire = WebRtcWire()
        self._call: Call | None = None
        self._meters = meters
        self._packets = meters.packets_of_call()
        self._packets_due = 0
        self._opened = asyncio.Event()
        self._peer: Peer | None = None
        self._ears: IncomingAudio | None = None

    @property
    def answer(self) -> str:
        """The SDP for the caller."""
        assert self._peer is not None
        return self._peer.answer

    @property
    def talking(self) -> bool:
        """It is connected."""
        return self._call is not None

    @property
    def heard(self) -> IncomingStats | None:
        """What became of the caller's packets."""
        return None if self._ears is None else self._ears.stats

    async def answer_offer(self, offer: Offer, config: PeerConfig) -> Speaker:
        """Get ready to be connected; returns what plays to the caller."""
        peer = await Peer.answering(offer, config, self._on_audio, self.wire.on_message, self._opened.set)
        self._peer = peer
        self.wire.attach(peer)
        self._ears = IncomingAudio(peer.incoming)
        return Speaker(packet_encoder(peer.encoding), peer, self._on_packet)

    async def run(self, call: Call, talk: Callable[[Call], Coroutine[None, None, None]]) -> str:
        """Connect, then `talk(call)` until either side ends it; returns how it ended."""
        assert self._peer is not None
        async with asyncio.TaskGroup() as tasks:
            connection = tasks.create_task(self._peer.run())
            opened = tasks.create_task(self._opened.wait())
            await asyncio.wait([connection, opened], return_when=asyncio.FIRST_COMPLETED)
            if not connection.done():
                self._call = call
                self._meters.connect_ended("connected")
                talking = tasks.create_task(talk(call))
                await asyncio.wait([connection, talking], return_when=asyncio.FIRST_COMPLETED)
            opened.cancel()
            self._look()
            self.hang_up()
        return connection.result()

    async def listen_in(self, wire: Wire) -> None:
        """Let somebody on `wire` take part, until either is over."""
        sideband = Sideband()
        if self._call is not None:
            event_id = f"event_{secrets.token_hex(12)}"
            sideband.put(SessionCreated(event_id=event_id, session=self._call.session.shown()))
        self.wire.sidebands.add(sideband)
        try:
            await sideband.relay(wire, self.wire.put)
        finally:
            self.wire.sidebands.discard(sideband)

    def hang_up(self) -> None:
        """End it."""
        self.wire.end()
        if self._peer is not None:
            self._peer.close()

    def _on_audio(self, packet: AudioPacket, arrived: float) -> None:
        if self._ears is not None:
            self._hear(self._ears.push(packet, arrived))

    def _on_packet(self, late_s: float) -> None:
        self._meters.packet_late(late_s)
        self._packets_due += 1
        if self._packets_due % _LOOK_EVERY == 0:
            self._look()
        if self._ears is not None:
            self._hear(self._ears.poll(time.monotonic()))

    def _look(self) -> None:
        """See how the packets fare."""
        if self._peer is None or self._ears is None:
            return
        out, back = self._peer.stats, self._ears.stats
        self._packets.look(PacketTotals(out.packets_sent, back.received, back.lost, back.recovered, back.concealed))
        self._meters.path(out.rtt_s, out.lost_fraction)

    def _hear(self, pcm: bytes) -> None:
        if pcm and self._call is not None:
            self._call.hear(pcm)
