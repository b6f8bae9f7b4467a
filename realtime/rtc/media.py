"""Turns the audio of one call into RTP and RTCP and back: packets out, packets in, and the reports about both.

Pure: bytes and times go in, bytes and packets come out. `now` is any monotonic clock in seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import MappingProxyType

from codec_stream.packets import RTP_CLOCKS, AudioPacket
from realtime.rtc.reception import Reception
from realtime.rtc.rtcp import ReportBlock, goodbye, parse_rtcp, receiver_report, sender_report, source_description
from realtime.rtc.rtp import OutgoingStream, parse_rtp
from realtime.rtc.sdp import Audio

_MAX_SOURCES = 4
_NTP_EPOCH_S = 2208988800  # from 1900 to 1970

_LOSSY_S = 10.0
"""A peer that reports no loss for this time is no longer taken for one that misses packets."""


class Media:
    """Carries both directions of the offered `audio`, as far as they are used.

    `wall_clock_s` is what to add to `now` for the time since 1970. Only differences of it matter, so it is taken once,
    and no step of the clock reaches the stream.
    """

    def __init__(self, audio: Audio, wall_clock_s: float) -> None:
        self.incoming: Mapping[int, str] = MappingProxyType(dict(audio.codecs) if audio.we_receive else {})
        payload_type, codec = next(iter(audio.codecs.items()))
        self.encoding = codec if audio.we_send else ""
        self.stream = OutgoingStream(payload_type, audio.mid, audio.mid_extension)
        self.cname = secrets.token_hex(8)
        self.received = 0
        self.rtt_s: float | None = None
        self.lossy = False
        """Whether the peer misses packets: true from a report of loss until none has told of any for 10 s."""
        self._clock_rate = RTP_CLOCKS[codec]
        self._wall_clock_s = wall_clock_s
        self._last_sent: tuple[float, int] | None = None
        self._lost_at: float | None = None
        self._sources: dict[int, Reception] = {}
        self._told: ReportBlock | None = None

    @property
    def lost_fraction(self) -> float | None:
        """Return the share (0 to 1) of our packets that the peer last told it missed; None before it told."""
        return self._told.lost_fraction if self._told is not None else None

    def packet(self, payload: bytes, ticks: int, now: float) -> bytes:
        """Return the next packet, `ticks` of the RTP clock long, to be sent now."""
        self._last_sent = (now, self.stream.timestamp)
        return self.stream.packet(payload, ticks)

    def skip(self, ticks: int) -> None:
        """Let `ticks` of the RTP clock pass without packets."""
        self.stream.skip(ticks)

    def rtp_arrived(self, data: bytes, now: float) -> AudioPacket | None:
        """Return the packet in `data` if its source sends a codec we agreed on, otherwise None.

        That includes packets of other payload types from this source, such as events and comfort noise. They take
        numbers of its sequence, and would be taken for lost packets otherwise.
        """
        packet = parse_rtp(data)
        if packet is None:
            return None
        source = self._sources.get(packet.ssrc)
        if source is None:
            codec = self.incoming.get(packet.payload_type)
            if codec is None:
                return None
            if len(self._sources) >= _MAX_SOURCES:
                del self._sources[next(iter(self._sources))]
            source = self._sources[packet.ssrc] = Reception(packet.ssrc, RTP_CLOCKS[codec])
        source.arrived(packet.sequence, packet.timestamp, now)
        self.received += 1
        return packet

    def rtcp_arrived(self, data: bytes, now: float) -> None:
        """Take in what the peer reports."""
        reports = parse_rtcp(data)
        for ssrc, ntp_middle in reports.sender_reports:
            if ssrc in self._sources:
                self._sources[ssrc].sender_reported(ntp_middle, now)
        for block in reports.blocks:
            if block.ssrc == self.stream.ssrc:
                self._told = block
                self._weigh(block.lost_fraction, now)
                round_trip = ((self._ntp(now) >> 16) - block.last_report - block.delay) & 0xFFFFFFFF
                if block.last_report and round_trip < 1 << 31:  # a delay that was rounded up can exceed the whole
                    self.rtt_s = round_trip / 65536
        for ssrc in reports.goodbyes:
            self._sources.pop(ssrc, None)

    def _weigh(self, lost_fraction: float, now: float) -> None:
        if lost_fraction:
            self._lost_at = now
        self.lossy = self._lost_at is not None and now - self._lost_at < _LOSSY_S

    def report(self, now: float) -> bytes:
        """Return the RTCP packet that reports on both directions; it is due about once a second."""
        blocks = [source.report(now) for source in self._sources.values()]
        stream = self.stream
        if self._last_sent is None:
            said = receiver_report(stream.ssrc, blocks)
        else:
            at, timestamp = self._last_sent
            timestamp = (timestamp + int((now - at) * self._clock_rate)) & 0xFFFFFFFF
            said = sender_report(stream.ssrc, self._ntp(now), timestamp, stream.packets, stream.octets, blocks)
        return said + source_description(stream.ssrc, self.cname)

    def goodbye(self, now: float) -> bytes:
        """Return a last report with a goodbye."""
        return self.report(now) + goodbye(self.stream.ssrc)

    def _ntp(self, now: float) -> int:
        return int((now + self._wall_clock_s + _NTP_EPOCH_S) * 2**32) & (2**64 - 1)
