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
"""Packets of all calls are due at multiples of this many seconds, so that those due together wake the loop once."""

_MOST_LATE_S = 0.2
"""After a loop stood still for longer than this, what is overdue is not sent all at once: there is a hole instead."""

_NOTHING = Packet(SILENCE)

_SETTLED_PACKETS = 10
"""After this many packets of silence, the encoder's payload for resting is sent again and again: encoding stops."""


class PacketSink(Protocol):
    """Sends packets to the listener."""

    def send_audio(self, payload: bytes, ticks: int) -> None:
        """Send one packet now. The media clock goes on by `ticks`."""

    def skip(self, ticks: int) -> None:
        """Let the media clock go on by `ticks` without a packet."""

    @property
    def lossy(self) -> bool:
        """Tell whether packets get lost on their way."""

    @property
    def away(self) -> bool:
        """Tell whether the listener may be gone."""


class Player:
    """Plays speech as packets of `encoder`, which go out on `line`.

    After each packet, `on_packet(late_s)` is called with how many seconds late it was.
    """

    def __init__(self, encoder: PacketEncoder, line: PacketSink, on_packet: Callable[[float], None]) -> None:
        self._encoder = encoder
        self._sink = line
        self._on_packet = on_packet
        self._queue = PlayQueue()
        self._rest = b""
        self._silent_packets = 0
        self._protected: bool | None = None

    def put(self, response_id: str, pcm: bytes) -> None:
        """Add 24 kHz PCM of a response, to be played after what is there."""
        self._queue.put(response_id, pcm)

    def finish(self, response_id: str) -> None:
        """Note that no more speech of a response follows."""
        self._queue.finish(response_id)

    def drop(self, response_id: str) -> None:
        """Take back what has not gone out of a response."""
        self._queue.drop(response_id)

    async def run(self, on_played: Callable[[str, int], None]) -> None:
        """Play until cancelled. Raises what a packet fails with.

        `on_played(response_id, samples)` is called with what goes out, as it goes.
        """
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        due = math.ceil(loop.time() / _GRID_S) * _GRID_S
        timer: asyncio.TimerHandle

        def tick() -> None:  # called by one timer a packet, which costs less than a task that sleeps and wakes
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
            except Exception as error:  # `run` raises it: a timer's error would only be logged
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
        # speech is kept while the listener may be gone: once sent, it would count as heard
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
