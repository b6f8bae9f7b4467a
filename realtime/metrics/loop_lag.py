"""Measures how late the event loop gets to what is due. All that it carries, speech first, is late by as much."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

PERIOD_S = 0.05
WINDOW_S = 60.0
"""This is longer than the usual time between two scrapes, so that every stall is seen by one of them."""


class Worst:
    """Keeps the largest value of the last `window_s` seconds.

    It holds at most as many values as were pushed in that time.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._falling: deque[tuple[float, float]] = deque()  # when and what; each smaller than the one before it

    def push(self, value: float, now: float) -> None:
        """Take a `value` that was seen at `now`, in seconds. Time must not go back."""
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((now, value))
        self._forget(now)

    def at(self, now: float) -> float:
        """Return the largest value of the window that ends at `now`, or 0.0 if there was none."""
        self._forget(now)
        return self._falling[0][1] if self._falling else 0.0

    def _forget(self, now: float) -> None:
        while self._falling and self._falling[0][0] < now - self._window_s:
            self._falling.popleft()


async def measure_lag(observe: Callable[[float, float], None]) -> None:
    """Wake up every `PERIOD_S` until cancelled, and tell `observe` how many seconds late that was, with the loop's
    time.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD_S
        await asyncio.sleep(PERIOD_S)
        now = loop.time()
        observe(max(0.0, now - due), now)
