"""Serves `/metrics`: what is measured, for Prometheus to read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

_OPENMETRICS = "application/openmetrics-text"
_END = b"# EOF\n"


class MetricsRoutes:
    """Serves `/metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def show(self, request: Request) -> Response:
        """Answer with all metrics as text, in the OpenMetrics format for a client that accepts it."""
        # the library's own negotiation breaks on versions that are no numbers
        open_format = _OPENMETRICS in request.headers.get("accept", "")
        text = bytearray()
        for metric in self._registry.collect():
            text += _written(metric, open_format)
            await asyncio.sleep(0)  # written in one go, they would keep speech from going out for milliseconds
        if open_format:
            text += _END
        kind = openmetrics.CONTENT_TYPE_LATEST if open_format else CONTENT_TYPE_PLAIN_0_0_4
        return Response(bytes(text), media_type=kind)


class _Only(Collector):
    """Collects one metric, so that the library writes them out one at a time."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


def _written(metric: Metric, open_format: bool) -> bytes:
    if not open_format:
        return generate_latest(_Only(metric))
    text: bytes = openmetrics.generate_latest(_Only(metric))  # type: ignore[no-untyped-call]
    return text.removesuffix(_END)
