"""Measures WebRTC calls: how they connect and end, and how their packets fare on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

ConnectOutcome = Literal["connected", "never_connected", "refused"]
"""never_connected: an offer was answered, and the call was not connected in time. refused: the offer was not
answered."""

CloseReason = Literal["client", "server", "lost", "failed"]
"""client: it hung up · server: we hung up, or the session ended · lost: the client stopped answering · failed: our
fault."""

_LATENESS_S = (0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1)
_ROUND_TRIPS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
_LOSSES = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class PacketTotals:
    """Counts what became of one call's audio packets so far.

    We `sent` these. The caller's were `received` or `lost`. Lost ones were `recovered` from the packet after them, or
    `concealed`. Some that were received are not heard: they were `late` (given up before they came, or fit for no
    stream), `undecodable`, or in `excess` of the time that passed.
    """

    sent: int = 0
    received: int = 0
    lost: int = 0
    recovered: int = 0
    concealed: int = 0
    late: int = 0
    undecodable: int = 0
    excess: int = 0


class WebRtcMeters:
    """Holds the meters of all WebRTC calls of one gateway. Packets are RTP packets of audio."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, told: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, told, labels, registry=registry)

        self._connects = counter("voiced_webrtc_connects_total", "Offers of WebRTC calls, by outcome.", ("outcome",))
        self._closed = counter("voiced_webrtc_calls_closed_total", "Calls that were connected and ended.", ("reason",))
        self._sent = counter("voiced_webrtc_packets_sent_total", "Audio packets sent.")
        self._received = counter("voiced_webrtc_packets_received_total", "Audio packets received.")
        self._lost = counter("voiced_webrtc_packets_lost_total", "Audio packets of callers that did not come in time.")
        self._recovered = counter(
            "voiced_webrtc_packets_recovered_total", "Lost audio packets that the one after them brought again."
        )
        self._concealed = counter(
            "voiced_webrtc_packets_concealed_total", "Lost audio packets that were made up instead."
        )
        self._late = counter(
            "voiced_webrtc_packets_late_total", "Audio packets that were given up before they came, or fit no stream."
        )
        self._undecodable = counter(
            "voiced_webrtc_packets_undecodable_total", "Audio packets that came and could not be decoded."
        )
        self._excess = counter(
            "voiced_webrtc_packets_excess_total", "Audio packets dropped because they came faster than time passes."
        )
        self._lateness = Histogram(
            "voiced_webrtc_packet_lateness_seconds",
            "How late an audio packet went out against the media clock.",
            buckets=_LATENESS_S,
            registry=registry,
        )
        self._round_trip = Histogram(
            "voiced_webrtc_round_trip_seconds",
            "Round trips to callers, one sample for each look at a call.",
            buckets=_ROUND_TRIPS_S,
            registry=registry,
        )
        self._outbound_loss = Histogram(
            "voiced_webrtc_outbound_loss_ratio",
            "Share of our audio packets that callers last told they missed, one sample for each look at a call.",
            buckets=_LOSSES,
            registry=registry,
        )
        for outcome in get_args(ConnectOutcome):  # shown from zero on, so that the first one is an increase
            self._connects.labels(outcome)
        for reason in get_args(CloseReason):
            self._closed.labels(reason)

    def connect_ended(self, outcome: ConnectOutcome) -> None:
        """Count what became of an offer."""
        self._connects.labels(outcome).inc()

    def call_closed(self, reason: CloseReason) -> None:
        """Count the end of a call that was connected."""
        self._closed.labels(reason).inc()

    def packet_late(self, seconds: float) -> None:
        """Count a packet that went out `seconds` after it was due."""
        self._lateness.observe(max(0.0, seconds))

    def packets_of_call(self) -> PacketWatch:
        """Return a watch that counts the packets of one call."""
        return PacketWatch(self)

    def count(self, more: PacketTotals) -> None:
        """Add what one call's packets grew by to the counters."""
        self._sent.inc(more.sent)
        self._received.inc(more.received)
        self._lost.inc(more.lost)
        self._recovered.inc(more.recovered)
        self._concealed.inc(more.concealed)
        self._late.inc(more.late)
        self._undecodable.inc(more.undecodable)
        self._excess.inc(more.excess)

    def path(self, round_trip_s: float | None, outbound_loss: float | None) -> None:
        """Count how good the way to a caller is now, as far as that is known.

        `round_trip_s` is seconds there and back. `outbound_loss` is the share (0 to 1) of our packets that the caller
        missed.
        """
        if round_trip_s is not None:
            self._round_trip.observe(round_trip_s)
        if outbound_loss is not None:
            self._outbound_loss.observe(outbound_loss)


class PacketWatch:
    """Counts one call's packets. Call `look` every few seconds, and when the call ends."""

    def __init__(self, meters: WebRtcMeters) -> None:
        self._meters = meters
        self._counted = PacketTotals()

    def look(self, totals: PacketTotals) -> None:
        """Take the call's totals as they are now, and count what they grew by."""
        counted = self._counted
        more = PacketTotals(
            totals.sent - counted.sent,
            totals.received - counted.received,
            totals.lost - counted.lost,
            totals.recovered - counted.recovered,
            totals.concealed - counted.concealed,
            totals.late - counted.late,
            totals.undecodable - counted.undecodable,
            totals.excess - counted.excess,
        )
        self._counted = totals
        self._meters.count(more)
