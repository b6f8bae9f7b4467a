"""Plays a session's speech into a call: an encoded packet every 20 ms of the monotonic clock, silence in between.

Packets are encoded as they leave, so that what is taken back was never encoded and the listener's decoder hears one
unbroken stream.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from codec_stream.packets import PacketEncoder
from realtime.shell.play_queue import SILENCE, Packet, PlayQueue

PACKET_S = 0.02
_GRID_S = 0.005
"""Calls begin on it: those that are due together wake the loop once."""

_MOST_LATE_S = 0.2
"""A loop that stood still longer than this leaves a hole instead of sending what is overdue at once."""

_NOTHING = Packet(SILENCE)

_SETTLED_PACKETS = 10
"""After so much silence an encoder rests: it need not be asked again for the same."""


class PacketSink(Protocol):
    """Where packets go."""

    def send_audio(self, payload: bytes, ticks: int) -> None:
        """One packet, now; the media clock goes on by `ticks`."""

    def skip(self, ticks: int) -> None:
        """Time passed without a packet."""

    @property
    def lossy(self) -> bool:
        """Whether packets may not arrive."""

    @property
    def away(self) -> bool:
        """Whether the listener may be gone."""


class Player:
    """`on_packet(late_s)` is told how late each packet was, after it."""

    def __init__(self, encoder: PacketEncoder, line: PacketSink, on_packet: Callable[[float], None]) -> None:
        self._encoder = encoder
        self._sink = line
        self._on_packet = on_packet
        self._queue = PlayQueue()
        self._rest = b""
        self._silent_packets = 0
        self._protected: bool | None = None

    def put(self, response_id: str, pcm: bytes) -> None:
        """Speech to be played after what is there, 24 kHz PCM."""
        self._queue.put(response_id, pcm)

    def finish(self, response_id: str) -> None:
        """No more speech of a response follows."""
        self._queue.finish(response_id)

    def drop(self, response_id: str) -> None:
        """Take back what has not gone out of a response."""
        self._queue.drop(response_id)

    async def run(self, on_played: Callable[[str, int], None]) -> None:
        """Play until cancelled; `on_played(response_id, samples)` is told what goes out, as it goes."""
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        due = math.ceil(loop.time() / _GRID_S) * _GRID_S
        timer: asyncio.TimerHandle

        def tick() -> None:  # a timer each packet: a task that sleeps and wakes costs more
            nonlocal due, timer
            late = loop.time() - due
            if late > _MOST_LATE_S:
                missed = int(late / PACKET_S)
                self._sink.skip(missed * self._encoder.clock_ticks)
                due += missed * PACKET_S
            try:
                for response_id, samples in self._play():
                    on_played(response_id, samples)
                self._on_packet(late)
            except Exception as error:  # whoever runs it is to know
                if not broken.done():
                    broken.set_exception(error)
                return
            due += PACKET_S
            timer = loop.call_at(due, tick)

        timer = loop.call_at(due, tick)
        try:
            await broken
        finally:
            timer.cancel()

    def _play(self) -> tuple[tuple[str, int], ...]:
        # what nobody may hear is kept: it would count as heard
        packet = _NOTHING if self._sink.away else self._queue.take()
        self._silent_packets = self._silent_packets + 1 if packet.pcm == SILENCE else 0
        if self._silent_packets <= _SETTLED_PACKETS:
            self._rest, payload = b"", self._encoded(packet.pcm)
        else:
            self._rest = payload = self._rest or self._encoder.rest()
        self._sink.send_audio(payload, self._encoder.clock_ticks)
        return packet.played

    def _encoded(self, pcm: bytes) -> bytes:
        if self._protected != (lossy := self._sink.lossy):
            self._protected = lossy
            self._encoder.protect(lossy)
        return self._encoder.encode(pcm)
