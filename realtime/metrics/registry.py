"""Holds what is measured of a gateway, in a registry of its own: the names, labels and buckets.

Whoever measures gets its meters from here. Labels have few values, all of them ours. What stands somewhere anyway
(sessions, the engine's gauges) is read when somebody asks, by `ReadWhenScraped`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from realtime.engine.client import EngineClient
from realtime.metrics.loop_lag import WINDOW_S, Worst
from realtime.metrics.scraped import OpenSession, ReadWhenScraped
from realtime.metrics.session_meters import SessionMeters, Transport, TransportMeters
from realtime.metrics.webrtc_meters import WebRtcMeters

RefusalReason = Literal["engine_not_ready", "too_many_sessions", "too_many_offers", "rate_limit_exceeded"]
DropReason = Literal["refused", "gave_way"]

_GAP_S = 0.01
_WEBRTC_GAP_S = 0.03
"""A WebRTC listener is sent 20 ms at a time and buffers a few packets, so a shorter delay is not heard as a gap."""

_FIRST_AUDIO_S = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_GAPS_S = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
_LEADS_S = (0.0, 0.04, 0.08, 0.16, 0.24, 0.4, 0.6, 1.0, 1.5, 2.0, 5.0, 15.0, 60.0)
_LAGS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Metrics:
    """Holds the meters of one gateway. `sessions` lists those that are open now."""

    def __init__(self, engine: EngineClient, sessions: Callable[[], Iterable[OpenSession]]) -> None:
        self.registry = registry = CollectorRegistry()
        self.webrtc = WebRtcMeters(registry)
        self._lag_worst = Worst(WINDOW_S)

        def counter(name: str, told: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, told, labels, registry=registry)

        def histogram(name: str, told: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(name, told, labels, buckets=buckets, registry=registry)

        self._opened = counter("voiced_sessions_opened_total", "Sessions that were begun.", ("transport",))
        self._refused = counter(
            "voiced_sessions_refused_total", "Sessions that were not let in, by reason.", ("reason",)
        )
        for reason in get_args(RefusalReason):
            self._refused.labels(reason)  # shown from zero on, so that the first one is an increase
        self._connections_dropped = counter(
            "voiced_connections_dropped_total",
            "Connections for which there was no room: refused as they came, or closed without a request for others.",
            ("reason",),
        )
        for dropped in get_args(DropReason):
            self._connections_dropped.labels(dropped)
        for transport in get_args(Transport):
            self._opened.labels(transport)
        self._responses = counter("voiced_responses_total", "Responses that ended.", ("transport", "status", "reason"))
        self._first_audio = histogram(
            "voiced_first_audio_seconds",
            "From the beginning of a response to its first audio on the wire.",
            _FIRST_AUDIO_S,
            ("transport",),
        )
        self._gap = histogram(
            "voiced_gap_seconds",
            "Silence in the middle of a response: its listener had played all it had. Caused by words that came late, "
            "or by speech that did.",
            _GAPS_S,
            ("transport", "cause"),
        )
        self._lead = histogram(
            "voiced_lead_seconds",
            "Audio that the listener still held when the next clause gave its first; 0 is silence.",
            _LEADS_S,
            ("transport",),
        )
        self._audio = counter("voiced_audio_seconds_total", "Speech that went out.", ("transport",))
        self._engine_first_audio = histogram(
            "voiced_engine_first_audio_seconds",
            "From asking the engine for the first clause of a response to its first audio.",
            _FIRST_AUDIO_S,
        )
        self._clauses = counter("voiced_clauses_total", "Clauses that the engine was done with.", ("reason",))
        self._frames = counter("voiced_frames_total", "Frames spoken, of 40 ms each.")
        self._prompt_positions = counter("voiced_prompt_positions_total", "Positions of the prompts of clauses.")
        self._cached_positions = counter(
            "voiced_prompt_positions_cached_total", "Positions of prompts that were found in the KV cache."
        )
        self._user_turns = counter(
            "voiced_user_turns_total", "Turns of users, as voice activity detection ended them.", ("transport",)
        )
        self._idle_timeouts = counter(
            "voiced_idle_timeouts_total",
            "Times that a user said nothing for the session's idle timeout.",
            ("transport",),
        )
        self._lag = histogram(
            "voiced_event_loop_lag_seconds", "How late the gateway's event loop came to what was due.", _LAGS_S
        )
        registry.register(ReadWhenScraped(engine, sessions, self._lag_worst))
        ProcessCollector(registry=registry)
        ProcessCollector("voiced_engine", pid=lambda: engine.pid or 0, registry=registry)

    def session_meters(self, transport: Transport, sample_rate: int) -> SessionMeters:
        """What measures one call; its audio is counted in samples at `sample_rate`."""
        meters = TransportMeters(
            opened=self._opened.labels(transport),
            first_audio=self._first_audio.labels(transport),
            gap={"speech": self._gap.labels(transport, "speech"), "words": self._gap.labels(transport, "words")},
            lead=self._lead.labels(transport),
            audio=self._audio.labels(transport),
            responses=self._responses,
            engine_first_audio=self._engine_first_audio,
            clauses=self._clauses,
            frames=self._frames,
            prompt_positions=self._prompt_positions,
            cached_positions=self._cached_positions,
            user_turns=self._user_turns.labels(transport),
            idle_timeouts=self._idle_timeouts.labels(transport),
        )
        plays = transport == "webrtc"
        return SessionMeters(transport, meters, sample_rate, _WEBRTC_GAP_S if plays else _GAP_S, plays=plays)

    def refused(self, reason: RefusalReason) -> None:
        """Count a session that was not let in."""
        self._refused.labels(reason).inc()

    def show_connections(self, open_now: Callable[[], int], limit: int) -> None:
        """Publish how many connections are open, as `open_now` tells, and how many may be."""
        Gauge("voiced_connections", "Connections open now.", registry=self.registry).set_function(open_now)
        Gauge("voiced_connections_limit", "Connections that may be open.", registry=self.registry).set(limit)

    def connection_dropped(self, reason: DropReason) -> None:
        """Count a connection that was refused, or closed to make room."""
        self._connections_dropped.labels(reason).inc()

    def lagged(self, seconds: float, now: float) -> None:
        """Count how many seconds late the event loop was; `now` is its clock."""
        self._lag.observe(seconds)
        self._lag_worst.push(seconds, now)
