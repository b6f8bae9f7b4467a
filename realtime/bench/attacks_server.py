"""Observes a server from outside, for the benchmark of attacks: what its process holds and what `/metrics` says."""

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
    """Says what the gateway process holds."""

    sessions: int
    descriptors: int
    threads: int
    rss_mib: float


@dataclass(frozen=True)
class Lateness:
    """Counts packets by how late they went out, since the server started: for each bound in seconds, those within
    it.
    """

    counts: dict[float, float]

    def percentile_ms(self, percent: float, before: Lateness) -> float | None:
        """Return a percentile in milliseconds of the packets since `before`; None if there were none.

        Packets are taken to be evenly spread within each bucket.
        """
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
    """Observes the server at an address, and its gateway process."""

    def __init__(self, process: psutil.Process, address: str) -> None:
        self._process = process
        self._address = address

    async def held(self) -> Held:
        """Return what the gateway holds now."""
        samples = await self._scraped()
        sessions = sum(value for name, _, value in samples if name == "voiced_sessions")
        memory = self._process.memory_info().rss / 2**20
        return Held(int(sessions), self._process.num_fds(), self._process.num_threads(), memory)

    async def lateness(self) -> Lateness:
        """Return the lateness of all packets so far."""
        return Lateness({edge: value for name, edge, value in await self._scraped() if name == _LATENESS})

    async def released(self, before: Held, within_s: float) -> float | None:
        """Wait until no more sessions and descriptors are held than `before`, and return the seconds that took.

        None says that it did not happen within `within_s`.
        """
        clock = asyncio.get_running_loop().time
        begun = clock()
        while clock() - begun < within_s:
            now = await self.held()
            if now.sessions <= before.sessions and now.descriptors <= before.descriptors:
                return clock() - begun
            await asyncio.sleep(_POLL_S)
        return None

    async def _scraped(self) -> list[tuple[str, float, float]]:
        """Return the name, the bucket's edge (0 for none) and the value of each sample."""

        def fetch() -> str:
            with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=_SCRAPE_S) as answer:
                return str(answer.read().decode())

        families = text_string_to_metric_families(await asyncio.to_thread(fetch))
        return [
            (sample.name, float(sample.labels.get("le", 0)), sample.value)
            for family in families
            for sample in family.samples
        ]
