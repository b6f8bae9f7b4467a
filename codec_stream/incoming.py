"""Turns a peer's RTP audio into the 24 kHz PCM16 that is heard, in order, whatever the network and the peer do to it.

What is not there is filled: a lost packet from what the next one repeats of it, else by concealment; a pause of the
sender by silence; more than 100 ms of either by silence as well, and by 1 s of it at most.

When no audio came for 200 ms, silence passes in real time (its first 100 ms fade out what was heard), so that a voice
activity detector sees time go by. Audio that comes after such a *stall* is given out at once and whole. The silence
that was heard stands for packets that prove missing and for pauses, which are not filled a second time.

What is made up is never longer than the time since the first packet, and what is decoded never more than 5 s longer:
what comes faster is dropped before it costs anything. Time that was not used counts for the next 5 s only, so that
nobody saves it up. Together that is a burst of 10 s, as after the longest stalls.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from codec_stream.jitter import JitterBuffer, JitterCounters, Missing, Ready
from codec_stream.packets import RTP_CLOCKS, AudioPacket, PacketDecoder, packet_decoder, payload_ticks
from codec_stream.rate import SAMPLE_RATE

STALL_S = 0.200
_STEP_SAMPLES = 60  # decoders conceal whole steps of 2.5 ms
_CONCEALED_SAMPLES = SAMPLE_RATE // 10
_FADE_SAMPLES = 480
_LONGEST_FILL_SAMPLES = SAMPLE_RATE
_FEED_S, _FEED_SAMPLES = 0.020, 480
_SLACK_S = 1e-6  # allows for rounding in the arithmetic with times
_FED_COUNTS_S = 1.0
_SAVED_S, _AHEAD_S = 5.0, 5.0


@dataclass(frozen=True, slots=True)
class IncomingStats:
    """Counts packets. A lost one is `recovered` (from the next one's copy), `concealed`, or lies in fed silence."""

    received: int
    lost: int
    concealed: int
    recovered: int
    late: int
    ignored: int  # in an encoding that was not agreed on
    undecodable: int
    excess: int  # dropped, since they came faster than time passes
    delay_ms: float  # how long the last packet heard had waited for one before it


class IncomingAudio:
    """Turns one peer's packets into audio.

    `encodings` gives the names in SDP of the payload types agreed on; others are counted and ignored. Times are in
    seconds, of a clock that does not go back. Raises ValueError for an encoding that `RTP_CLOCKS` does not have. No
    packet raises an error.
    """

    def __init__(self, encodings: Mapping[int, str]) -> None:
        for encoding in encodings.values():
            if encoding not in RTP_CLOCKS:
                raise ValueError(f"encoding is {encoding!r}; use one of {', '.join(RTP_CLOCKS)}")
        self._encodings = dict(encodings)
        self._counters = JitterCounters()
        self._concealed = self._recovered = self._ignored = self._undecodable = self._excess = 0
        self._waited_s = 0.0
        self._stream: _Stream | None = None
        self._decoders: dict[str, PacketDecoder] = {}
        self._to_decode, self._to_fill = _Allowance(0.0), _Allowance(0.0)  # from the first packet on
        self._made_up = 0  # samples made up since the last decoded one
        self._fed_until = 0.0  # the time up to which silence was fed; after audio, `STALL_S` ahead
        self._fed = 0  # samples of silence fed that stand for packets which may yet prove missing
        self._fed_counts_until: float | None = None  # None in a stall
        self._unheard = 0  # undecodable packets since the last decoded one

    @property
    def due_at(self) -> float | None:
        """Return when `poll` is to be called even if no packet comes; None before the first packet."""
        if self._stream is None:
            return None
        feed_at, gap_ends = self._fed_until + _FEED_S, self._stream.jitter.due_at
        return feed_at if gap_ends is None else min(feed_at, gap_ends)

    @property
    def stats(self) -> IncomingStats:
        """Return the counts of packets so far."""
        counters = self._counters
        return IncomingStats(
            received=counters.received,
            lost=counters.lost,
            concealed=self._concealed,
            recovered=self._recovered,
            late=counters.late,
            ignored=self._ignored,
            undecodable=self._undecodable,
            excess=self._excess,
            delay_ms=1000 * self._waited_s,
        )

    def push(self, packet: AudioPacket, now: float) -> bytes:
        """Take a packet as it arrives and return the PCM16 that is ready, maybe none."""
        pcm16 = self.poll(now)
        encoding = self._encodings.get(packet.payload_type)
        stream = self._stream
        if encoding is None:
            self._ignored += 1
            if stream is None or packet.ssrc != stream.jitter.ssrc:
                self._counters.received += 1
                return pcm16
            # Events and comfort noise take sequence numbers: leaving them out would look like lost packets.
        elif stream is None or encoding != stream.encoding:
            if stream is None:
                self._to_decode, self._to_fill = _Allowance(now), _Allowance(now)
                self._fed_until = now + STALL_S
            else:
                pcm16 += self._play(stream, stream.jitter.flush(now), now)
            stream = self._stream = self._open(encoding)
        assert stream is not None
        stream.jitter.push(packet, now)
        return pcm16 + self._play(stream, stream.jitter.take(now), now)

    def poll(self, now: float) -> bytes:
        """Return the PCM16 that became ready without a packet: what waited for a gap long enough, and a stall's
        silence.
        """
        due_at = self.due_at
        if self._stream is None or due_at is None or now < due_at - _SLACK_S:
            return b""
        return self._play(self._stream, self._stream.jitter.take(now), now) + self._feed(self._stream, now)

    def _open(self, encoding: str) -> "_Stream":
        # A decoder is expensive to make, and a sender may switch encodings with every packet.
        decoder = self._decoders.get(encoding) or packet_decoder(encoding)
        self._decoders[encoding] = decoder
        return _Stream(encoding, JitterBuffer(RTP_CLOCKS[encoding], self._ticks, self._counters), decoder)

    def _ticks(self, packet: AudioPacket) -> int:
        encoding = self._encodings.get(packet.payload_type)
        try:
            return 0 if encoding is None else payload_ticks(encoding, packet.payload)
        except ValueError:
            return 0

    def _play(self, stream: "_Stream", items: list[Ready | Missing], now: float) -> bytes:
        heard: list[bytes] = []
        missing: Missing | None = None
        for item in items:
            if isinstance(item, Missing):
                missing = item
                continue
            if missing is not None:
                heard.append(self._replace(stream, missing, item.packet, now))
                missing = None
            elif item.pause_ticks:
                self._concealed, self._unheard = self._concealed + self._unheard, 0
                heard.append(self._fill(stream, self._owed(stream, item.pause_ticks, now)))
            if self._encodings.get(item.packet.payload_type) is not None:
                heard.append(self._hear(stream, item, now))
        return b"".join(heard)

    def _hear(self, stream: "_Stream", ready: Ready, now: float) -> bytes:
        self._waited_s = ready.waited_s
        seconds = ready.ticks / stream.jitter.clock_rate
        if seconds > self._to_decode.left_s(now) + _AHEAD_S:
            self._excess += 1
            return b""
        self._to_decode.spend(seconds, now)
        try:
            pcm16 = stream.decoder.decode(ready.packet.payload)
        except ValueError:
            self._undecodable += 1
            if not ready.ticks:
                # How long it was meant to be shows in the timestamp of the next packet.
                self._unheard += 1
                return b""
            self._concealed += 1
            pcm16 = self._fill(stream, self._owed(stream, ready.ticks, now))
        else:
            self._made_up = self._unheard = 0
        self._fed_until = now + STALL_S
        if self._fed_counts_until is None:
            self._fed_counts_until = now + _FED_COUNTS_S
        return pcm16

    def _replace(self, stream: "_Stream", missing: Missing, following: AudioPacket, now: float) -> bytes:
        """Return what is heard in place of missing packets."""
        samples = self._owed(stream, missing.ticks, now)
        repeated = self._ticks(following) * SAMPLE_RATE // stream.jitter.clock_rate
        if 0 < repeated <= samples and stream.decoder.repeats_previous(following.payload):
            before = self._fill(stream, samples - repeated)
            try:
                recovered = stream.decoder.recover(following.payload, repeated)
            except ValueError:  # its head says that it repeats the packet before, but the rest is broken
                self._concealed += missing.packets
                return before + self._fill(stream, repeated)
            self._recovered += 1
            self._concealed += missing.packets - 1
            return before + recovered
        if samples:
            self._concealed += missing.packets
        return self._fill(stream, samples)

    def _owed(self, stream: "_Stream", ticks: int, now: float) -> int:
        """Return how many samples are to be made up for `ticks` of the stream; they count as made up."""
        samples = ticks * SAMPLE_RATE // stream.jitter.clock_rate
        self._forget_old_silence(now)
        paid = min(samples, self._fed)
        self._fed -= paid
        return self._allowed(samples - paid, now)

    def _allowed(self, samples: int, now: float) -> int:
        """Return how many of `samples` may be made up; they count as made up."""
        time_left = int(self._to_fill.left_s(now) * SAMPLE_RATE)
        samples = max(min(samples, _LONGEST_FILL_SAMPLES, time_left), 0)
        samples -= samples % _STEP_SAMPLES
        self._to_fill.spend(samples / SAMPLE_RATE, now)
        return samples

    def _feed(self, stream: "_Stream", now: float) -> bytes:
        """Return the silence of a stall up to `now`, in whole packets; if the clock stood still, 1 s at most."""
        packets = int((now - self._fed_until) / _FEED_S + _SLACK_S)
        if packets <= 0:
            return b""
        self._fed_until += packets * _FEED_S
        samples = self._allowed(packets * _FEED_SAMPLES, now)
        self._forget_old_silence(now)
        self._fed_counts_until = None
        self._fed += samples
        return self._fill(stream, samples)

    def _forget_old_silence(self, now: float) -> None:
        if self._fed_counts_until is not None and now > self._fed_counts_until:
            self._fed = 0

    def _fill(self, stream: "_Stream", samples: int) -> bytes:
        """Make up `samples`: concealment that ends 100 ms after the last decoded audio, then silence."""
        concealed = max(min(samples, _CONCEALED_SAMPLES - self._made_up), 0)
        self._made_up += samples
        if not concealed:
            return bytes(2 * samples)
        pcm16 = stream.decoder.conceal(concealed)
        if self._made_up >= _CONCEALED_SAMPLES:
            pcm16 = _faded_out(pcm16)
        return pcm16 + bytes(2 * (samples - concealed))


@dataclass(frozen=True, slots=True)
class _Stream:
    encoding: str
    jitter: JitterBuffer
    decoder: PacketDecoder


class _Allowance:
    """Allows as many seconds of audio as pass from `start` on. Of those not spent the last 5 are kept."""

    def __init__(self, start: float) -> None:
        self._spent_until = start

    def left_s(self, now: float) -> float:
        """Return the seconds that may be spent; negative where more was spent than time had allowed."""
        return min(now - self._spent_until, _SAVED_S)

    def spend(self, seconds: float, now: float) -> None:
        self._spent_until = max(self._spent_until, now - _SAVED_S) + seconds


def _faded_out(pcm16: bytes) -> bytes:
    """Return the audio with its last 20 ms (or all, when it is shorter) led down to silence."""
    samples = array("h", pcm16)
    fading = min(_FADE_SAMPLES, len(samples))
    for left in range(fading):
        samples[-1 - left] = samples[-1 - left] * left // fading
    return samples.tobytes()
