"""Measures how well one stream arrives: the numbers of a receiver report (RFC 3550 sections 6.4.1, A.3, A.8). Pure."""

from __future__ import annotations

from realtime.rtc.rtcp import ReportBlock

_MAX_DROPOUT = 3000
_MAX_MISORDER = 100


class Reception:
    """Measures the stream `ssrc`, whose timestamps run at `clock_rate` Hz. `now` is seconds of a monotonic clock."""

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self._clock_rate = clock_rate
        self._first = -1
        self._highest = 0  # extended by how often the 16-bit number wrapped around
        self._odd = -1  # the number that would follow a packet out of sequence, if the sender had restarted there
        self._jitter = 0.0
        self._transit: float | None = None
        self._reported_expected = 0
        self._reported_received = 0
        self._last_report = 0
        self._last_report_at = 0.0

    def arrived(self, sequence: int, timestamp: int, now: float) -> None:
        """Count a packet by its sequence number and timestamp."""
        if self._first < 0:
            self._begin(sequence)
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < _MAX_DROPOUT:
            self._highest += ahead
        elif ahead <= 0x10000 - _MAX_MISORDER:
            # A sender that restarts jumps in its numbers. Two packets in a row are believed.
            if sequence != self._odd:
                self._odd = (sequence + 1) & 0xFFFF
                return
            self._begin(sequence)
        self.received += 1
        transit = now * self._clock_rate - timestamp
        if self._transit is not None:
            change = (transit - self._transit + 2**31) % 2**32 - 2**31
            self._jitter += (abs(change) - self._jitter) / 16
        self._transit = transit

    def sender_reported(self, ntp_middle: int, now: float) -> None:
        """Note a sender report: `ntp_middle` is the middle 32 bits of its NTP time."""
        self._last_report, self._last_report_at = ntp_middle, now

    def report(self, now: float) -> ReportBlock:
        """Return what is to be reported now. The fraction lost counts from the last call."""
        expected = self._highest - self._first + 1
        expected_since = expected - self._reported_expected
        lost_since = expected_since - (self.received - self._reported_received)
        self._reported_expected, self._reported_received = expected, self.received
        return ReportBlock(
            ssrc=self.ssrc,
            lost_fraction=max(0.0, lost_since / expected_since) if expected_since > 0 else 0.0,
            lost=expected - self.received,
            highest_sequence=self._highest,
            jitter=int(self._jitter),
            last_report=self._last_report,
            delay=min(0xFFFFFFFF, int((now - self._last_report_at) * 65536)) if self._last_report else 0,
        )

    def _begin(self, sequence: int) -> None:
        self._first = self._highest = sequence
        self._odd = -1
        self.received = 0
        self._reported_expected = self._reported_received = 0
        self._transit = None
