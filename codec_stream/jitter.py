"""Puts RTP packets in order, in whatever order the network brings them, and tells what is missing between them.

The buffer is for listening, not for playing: there is no playout clock, so packets in order pass at once, and only a
gap makes those behind it wait. How long is the *patience*: the spread of the packets' delays in the last second,
bounded to 20 to 120 ms, taken when the gap shows. So it grows with what there is to wait for (a packet that came too
late counts too), and is small again a second after the last odd one. Once a packet is given up, nothing waits any
longer.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from codec_stream.packets import AudioPacket

MIN_PATIENCE_S, MAX_PATIENCE_S = 0.020, 0.120
MAX_HELD_PACKETS = 64
_SPREAD_WINDOW_S = 1.0
_SPREAD_PACKETS = 128
# As in RFC 3550, appendix A.1: a packet that is further off starts a new stream, once the next one confirms it.
_MAX_AHEAD, _MAX_BEHIND = 3000, 128
_HISTORY_MASK = (1 << _MAX_BEHIND) - 1


@dataclass(frozen=True, slots=True)
class Ready:
    """Holds the next packet, `ticks` long.

    `pause_ticks` is what the sender left out before it though no packet is missing (DTX). `waited_s` is how long it
    waited for packets before it.
    """

    packet: AudioPacket
    ticks: int
    pause_ticks: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for packets that did not come in time, before the `Ready` that follows in the same list. `ticks` is their
    length.
    """

    packets: int
    ticks: int


@dataclass(slots=True)
class JitterCounters:
    """Counts packets. `late` ones came after they were given up, or belong to no stream."""

    received: int = 0
    lost: int = 0
    late: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    packet: AudioPacket
    ticks: int
    arrived: float


class JitterBuffer:
    """Puts the packets of one stream in order. Another SSRC, or a jump in the sequence that the next packet confirms,
    starts it anew.

    `clock_rate` is in Hz. `length` returns the ticks of audio that a packet holds, 0 for none. Packets are counted into
    `counters`. At most 64 packets wait; then the oldest gap is given up at once. No packet raises an error.
    """

    def __init__(
        self, clock_rate: int, length: Callable[[AudioPacket], int], counters: JitterCounters | None = None
    ) -> None:
        self.clock_rate, self._length = clock_rate, length
        self.counters = counters or JitterCounters()
        self._held: dict[int, _Held] = {}
        self._given_up: list[Ready | Missing] = []  # what was left of the stream before, for the next `take`
        self._ssrc: int | None = None
        self._next = 0  # the sequence number that is to be given out next
        self._next_timestamp: int | None = None  # where the audio given out ends
        self._history = 0  # bit k: packet `_next` - 1 - k came
        self._stranger: _Held | None = None
        self._gap_ends: float | None = None
        self._delays: deque[tuple[float, float]] = deque(maxlen=_SPREAD_PACKETS)  # (arrival, delay), s
        self._last_timestamp = 0  # of the last in `_delays`

    @property
    def ssrc(self) -> int | None:
        """Return the stream's SSRC; None before its first packet."""
        return self._ssrc

    @property
    def due_at(self) -> float | None:
        """Return when `take` is to be called even if no packet comes; None when nothing waits."""
        return self._gap_ends

    def push(self, packet: AudioPacket, now: float) -> None:
        """Take a packet as it arrives; call `take` next."""
        self.counters.received += 1
        arrival = _Held(packet, self._length(packet), now)
        if self._ssrc is None:
            self._start(arrival)
            return
        ahead = _signed(packet.sequence - self._next, 16)
        if packet.ssrc != self._ssrc or not -_MAX_BEHIND <= ahead < _MAX_AHEAD:
            self._meet(arrival)
            return
        if self._stranger is not None:
            self._stranger = None
            self.counters.late += 1
        if (packet.sequence in self._held) if ahead >= 0 else (self._history >> (-ahead - 1) & 1):
            self.counters.duplicates += 1
            return
        self._measure(arrival)
        if ahead < 0:
            self.counters.late += 1
            self._history |= 1 << (-ahead - 1)
            return
        if len(self._held) > MAX_HELD_PACKETS:
            return  # `take` was not called: do not hold more and more
        self._held[packet.sequence] = arrival
        self._watch(now)

    def take(self, now: float) -> list[Ready | Missing]:
        """Return what is ready by now, in order: packets, and before each gap's end what is missing there."""
        taken, self._given_up = self._given_up, []
        while self._held:
            if self._next not in self._held:
                if self._gap_ends is not None and now < self._gap_ends and len(self._held) <= MAX_HELD_PACKETS:
                    break
                taken.append(self._give_up())
            taken.append(self._give(now))
            self._gap_ends = None
            self._watch(now)
        return taken

    def flush(self, now: float) -> list[Ready | Missing]:
        """Return all that is left, however long its gaps were to be waited for."""
        taken = self.take(now)
        while self._held:
            self._gap_ends = None
            taken += self.take(now)
        return taken

    def _start(self, first: _Held) -> None:
        self._ssrc, self._next = first.packet.ssrc, first.packet.sequence
        self._next_timestamp, self._history, self._stranger, self._gap_ends = None, 0, None, None
        self._delays.clear()
        self._measure(first)
        self._held = {first.packet.sequence: first}

    def _meet(self, stranger: _Held) -> None:
        """Take a packet that does not fit the stream. A next packet that continues it makes it the first of a new
        stream.
        """
        before, self._stranger = self._stranger, stranger
        if before is None:
            return
        follows = (before.packet.sequence + 1) & 0xFFFF == stranger.packet.sequence
        if not follows or before.packet.ssrc != stranger.packet.ssrc:
            self.counters.late += 1
            return
        self._given_up = self.flush(stranger.arrived)
        self._start(before)
        self._measure(stranger)
        self._held[stranger.packet.sequence] = stranger

    def _watch(self, now: float) -> None:
        """Set how long the gap before what is held is waited for, once it shows."""
        if self._held and self._next not in self._held and self._gap_ends is None:
            shown_at = min(held.arrived for held in self._held.values())
            self._gap_ends = shown_at + self._patience(now)

    def _patience(self, now: float) -> float:
        delays = [delay for arrived, delay in self._delays if arrived > now - _SPREAD_WINDOW_S]
        spread = max(delays) - min(delays) if delays else 0.0
        return min(max(spread, MIN_PATIENCE_S), MAX_PATIENCE_S)

    def _measure(self, arrival: _Held) -> None:
        """Note the packet's delay, against the first one's; events and empty packets have no time of their own."""
        if not arrival.ticks:
            return
        timestamp, delay = arrival.packet.timestamp, 0.0
        if self._delays:
            last_arrived, delay = self._delays[-1]
            delay += arrival.arrived - last_arrived
            delay -= _signed(timestamp - self._last_timestamp, 32) / self.clock_rate
        self._last_timestamp = timestamp
        self._delays.append((arrival.arrived, delay))

    def _give(self, now: float) -> Ready:
        held = self._held.pop(self._next)
        self._next = (self._next + 1) & 0xFFFF
        self._history = (self._history << 1 | 1) & _HISTORY_MASK
        pause = 0
        if held.ticks:
            pause = self._ticks_until(held.packet.timestamp)
            self._next_timestamp = (held.packet.timestamp + held.ticks) & 0xFFFFFFFF
        return Ready(held.packet, held.ticks, pause, now - held.arrived)

    def _give_up(self) -> Missing:
        packets, sequence = min(((held - self._next) & 0xFFFF, held) for held in self._held)
        ticks = self._ticks_until(self._held[sequence].packet.timestamp)
        self._next = sequence
        if self._next_timestamp is not None:
            self._next_timestamp = (self._next_timestamp + ticks) & 0xFFFFFFFF
        self._history = self._history << packets & _HISTORY_MASK
        self.counters.lost += packets
        return Missing(packets, ticks)

    def _ticks_until(self, timestamp: int) -> int:
        """Return the ticks from the end of the audio given out to `timestamp`; 0 when that lies before it."""
        if self._next_timestamp is None:
            return 0
        return max(_signed(timestamp - self._next_timestamp, 32), 0)


def _signed(difference: int, bits: int) -> int:
    """Return the difference of two numbers that wrap around, as the shorter way between them."""
    half = 1 << (bits - 1)
    return ((difference + half) & ((1 << bits) - 1)) - half
