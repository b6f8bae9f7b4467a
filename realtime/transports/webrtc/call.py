"""Runs a WebRTC call: events over its data channel, the user's audio in, the session's audio out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from codec_stream.incoming import IncomingAudio
from codec_stream.packets import AudioPacket, packet_encoder
from protocol.objects import ErrorBody
from protocol.server_events import SessionCreated
from realtime.ids import new_id
from realtime.metrics.webrtc_meters import PacketTotals, WebRtcMeters
from realtime.rtc.peer import Peer, PeerConfig
from realtime.rtc.sdp import Offer
from realtime.shell.player import Player
from realtime.shell.shell import Shell, Wire
from realtime.transports.webrtc.sideband import Sideband
from realtime.transports.webrtc.wire import WebRtcWire

log = logging.getLogger("voiced.webrtc")

_LOOK_EVERY = 250


class WebRtcCall:
    """Runs one call from its offer to its end."""

    def __init__(self, call_id: str, meters: WebRtcMeters) -> None:
        self.id = call_id
        self.wire = WebRtcWire()
        self._call: Shell | None = None
        self._meters = meters
        self._packets = meters.packets_of_call()
        self._packets_due = 0
        self._opened = asyncio.Event()
        self._peer: Peer | None = None
        self._incoming_audio: IncomingAudio | None = None
        self._broke = False

    @property
    def answer(self) -> str:
        """Return the answer (SDP) for the caller."""
        assert self._peer is not None
        return self._peer.answer

    @property
    def talking(self) -> bool:
        """Tell whether the call was connected."""
        return self._call is not None

    async def answer_offer(self, offer: Offer, config: PeerConfig) -> Player:
        """Get ready to be connected, and return what plays to the caller.

        From then on `run` or `discard` has to be called. Raises OSError if no socket can be bound.
        """
        peer = await Peer.answering(offer, config, self._on_audio, self.wire.on_message, self._opened.set)
        self._peer = peer
        self.wire.attach(peer)
        self._incoming_audio = IncomingAudio(peer.incoming)
        return Player(packet_encoder(peer.encoding), peer, self._on_packet)

    async def discard(self) -> None:
        """Release what was made ready, for a call that is not run."""
        self.wire.end()
        if self._peer is not None:
            await self._peer.discard()

    async def run(self, call: Shell, talk: Callable[[Shell], Coroutine[None, None, None]]) -> str:
        """Connect, run `talk(call)` until either side ends the call, and return how it ended."""
        assert self._peer is not None
        async with asyncio.TaskGroup() as tasks:
            connection = tasks.create_task(self._peer.run())
            opened = tasks.create_task(self._opened.wait())
            await asyncio.wait([connection, opened], return_when=asyncio.FIRST_COMPLETED)
            if not connection.done():
                self._call = call
                self._meters.connect_ended("connected")
                log.info("call %s is connected, %s to %s", self.id, *self._peer.candidate_types)
                talking = tasks.create_task(self._talk(call, talk))
                await asyncio.wait([connection, talking], return_when=asyncio.FIRST_COMPLETED)
            opened.cancel()
            self._look()
            self.wire.end()
        return "failed here" if self._broke else connection.result()

    async def _talk(self, call: Shell, talk: Callable[[Shell], Coroutine[None, None, None]]) -> None:
        try:
            await talk(call)
        except Exception:  # the boundary of this call: its caller is told, while there is a way to
            log.exception("call %s broke and is over", self.id)
            self._broke = True
            self.wire.end(ErrorBody("server_error", "internal_error", "Something broke here; call again."))

    async def listen_in(self, sideband: Sideband, wire: Wire) -> None:
        """Let somebody take part on `wire`, until the call or the wire is over."""
        if self._call is not None:
            sideband.put(SessionCreated(event_id=new_id("event_"), session=self._call.session.shown()))
        await sideband.relay(wire, self.wire.take)

    def hang_up(self) -> None:
        """End the call."""
        self.wire.end()

    def _on_audio(self, packet: AudioPacket, arrived: float) -> None:
        if self._incoming_audio is not None:
            self._take_in(self._incoming_audio.push(packet, arrived))

    def _on_packet(self, late_s: float) -> None:
        self._meters.packet_late(late_s)
        self._packets_due += 1
        if self._packets_due % _LOOK_EVERY == 0:
            self._look()
        if self._incoming_audio is not None:
            self._take_in(self._incoming_audio.poll(time.monotonic()))

    def _look(self) -> None:
        """Count how the packets fare."""
        if self._peer is None or self._incoming_audio is None:
            return
        out, back = self._peer.stats, self._incoming_audio.stats
        self._packets.look(
            PacketTotals(
                sent=out.packets_sent,
                received=back.received,
                lost=back.lost,
                recovered=back.recovered,
                concealed=back.concealed,
                late=back.late,
                undecodable=back.undecodable,
                excess=back.excess,
            )
        )
        self._meters.path(out.rtt_s, out.lost_fraction)

    def _take_in(self, pcm: bytes) -> None:
        if pcm and self._call is not None:
            self._call.take_in(pcm)
