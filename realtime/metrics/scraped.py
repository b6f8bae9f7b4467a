"""Reads the state of a gateway when somebody asks for it: its sessions, its engine, its event loop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime.engine.client import EngineClient
from realtime.metrics.loop_lag import Worst
from realtime.metrics.session_meters import Transport


@dataclass(frozen=True)
class OpenSession:
    """Describes an open session: how it is connected, and how many messages wait to go out to it."""

    transport: Transport
    unsent: int


class ReadWhenScraped(Collector):
    """Collects the state of a gateway for Prometheus. `sessions` lists those that are open now."""

    def __init__(self, engine: EngineClient, sessions: Callable[[], Iterable[OpenSession]], lag: Worst) -> None:
        self._engine = engine
        self._sessions = sessions
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        yield from self._of_sessions()
        yield from self._of_engine()
        yield GaugeMetricFamily(
            "voiced_event_loop_lag_worst_seconds",
            "The longest event loop lag of the last minute.",
            self._lag.at(time.monotonic()),
        )

    def _of_sessions(self) -> Iterator[Metric]:
        open_now: Counter[Transport] = Counter()
        unsent: Counter[Transport] = Counter()
        for session in self._sessions():
            open_now[session.transport] += 1
            unsent[session.transport] += session.unsent
        sessions = GaugeMetricFamily("voiced_sessions", "Sessions open now.", labels=("transport",))
        messages = GaugeMetricFamily(
            "voiced_outbox_messages", "Messages that wait to go out to clients.", labels=("transport",)
        )
        for transport in get_args(Transport):
            sessions.add_metric((transport,), open_now[transport])
            messages.add_metric((transport,), unsent[transport])
        yield sessions
        yield messages

    def _of_engine(self) -> Iterator[Metric]:
        info, gauges = self._engine.info, self._engine.gauges
        yield GaugeMetricFamily("voiced_engine_ready", "1 while the engine takes requests.", float(info is not None))
        yield CounterMetricFamily(
            "voiced_engine_restarts",
            "Times that the engine process ended and was started again.",
            self._engine.restarts,
        )
        yield GaugeMetricFamily("voiced_engine_requests", "Requests at the engine.", gauges.requests)
        yield GaugeMetricFamily("voiced_engine_slots_used", "Places in the running batch that are taken.", gauges.slots)
        yield GaugeMetricFamily("voiced_engine_kv_pages_held", "KV cache pages that requests hold.", gauges.pages_held)
        yield GaugeMetricFamily("voiced_engine_contexts", "Contexts that the engine remembers.", gauges.contexts)
        yield CounterMetricFamily("voiced_engine_steps", "Decode steps since the engine started.", gauges.steps)
        yield CounterMetricFamily("voiced_engine_rows", "Rows drawn since the engine started.", gauges.rows)
        yield GaugeMetricFamily(
            "voiced_engine_step_seconds", "What a decode step takes, as a moving average.", gauges.step_ms / 1e3
        )
        if info is None:
            return
        yield GaugeMetricFamily("voiced_engine_slots", "Places in the running batch.", info.max_slots)
        yield GaugeMetricFamily("voiced_engine_kv_pages", "KV cache pages.", info.pages)
        told = {
            "checkpoint": info.checkpoint,
            "kind": info.kind,
            "device": info.device,
            "dtype": info.dtype,
            "decoder": info.decoder,
        }
        yield InfoMetricFamily("voiced_engine", "What runs.", told)
