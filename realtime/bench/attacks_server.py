"""Scope: a server as the benchmark of attacks sees it from outside: what its process holds and what `/metrics` says."""

from __future__ import annotations

import asyncio
import urllib.request
from dataclasses import dataclass

import psutil
from prometheus_client.parser import text_string_to_metric_families

_LATENESS = "voiced_webrtc_packet_lateness_seconds_bucket"
_POLL_S = 0.25
_SCRAPE_S = 10.0


@dataclass(frozen=True)
class Held:
    """What the gateway process holds."""

    sessions: int
    descriptors: int
    threads: int
    rss_mib: float


@dataclass(frozen=True)
class Lateness:
    """How many packets went out at most so late, by seconds, since the server started."""

    counts: dict[float, float]

    def percentile_ms(self, percent: float, before: Lateness) -> float | None:
        """Of the packets since `before`, evenly spread within each bucket; None without any."""
        grown = [(edge, count - before.counts[edge]) for edge, count in sorted(self.counts.items())]
        wanted = grown[-1][1] * percent / 100
        lower, below = 0.0, 0.0
        for edge, count in grown:
            if count and count >= wanted:
                return 1e3 * (
                    lower if edge == float("inf") else lower + (edge - lower) * (wanted - below) / (count - below)
                )
            lower, below = edge, count
        return None


class Observed:
    """The server at an address, and its gateway process."""

    def __init__(self, process: psutil.Process, address: str) -> None:
        self._process = process
        self._address = address

    async def held(self) -> Held:
        """Now."""
        samples = await self._scraped()
        sessions = sum(value for name, _, value in samples if name == "voiced_sessions")
        memory = self._process.memory_info().rss / 2**20
        return Held(int(sessions), self._process.num_fds(), self._process.num_threads(), memory)

    async def lateness(self) -> Lateness:
        """Of all packets so far."""
        return Lateness({edge: value for name, edge, value in await self._scraped() if name == _LATENESS})

    async def released(self, before: Held, within_s: float) -> float | None:
        """Seconds until no more sessions and descriptors are held than before; None: not within the time."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while clock() - begun < within_s:
            now = await self.held()
            if now.sessions <= before.sessions and now.descriptors <= before.descriptors:
                return clock() - begun
            await asyncio.sleep(_POLL_S)
        return None

    async def _scraped(self) -> list[tuple[str, float, float]]:
        """Name, bucket's edge (0 for none) and value of each sample."""

        def fetch() -> str:
            with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=_SCRAPE_S) as answer:
                return str(answer.read().decode())

        families = text_string_to_metric_families(await asyncio.to_thread(fetch))
        return [
            (sample.name, float(sample.labels.get("le", 0)), sample.value)
            for family in families
            for sample in family.samples
        ]
