"""How late the event loop gets to what is due: everything it carries, speech first, is late by as much."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

PERIOD_S = 0.05
WINDOW_S = 60.0
"""Longer than people let pass between two scrapes: no stall falls between them."""


class Worst:
    """The largest value of the last `window_s` seconds. Holds at most as many values as were pushed in that time."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._falling: deque[tuple[float, float]] = deque()  # when and what; each smaller than the one before it

    def push(self, value: float, now: float) -> None:
        """`value` was seen at `now`; time does not go back."""
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((now, value))
        self._forget(now)

    def at(self, now: float) -> float:
        """The largest value, 0.0 if there was none."""
        self._forget(now)
        return self._falling[0][1] if self._falling else 0.0

    def _forget(self, now: float) -> None:
        while self._falling and self._falling[0][0] < now - self._window_s:
            self._falling.popleft()


async def measure_lag(observe: Callable[[float, float], None]) -> None:
    """Wake up every `PERIOD_S` until cancelled; `observe` gets how many seconds late that was, and the loop's time."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD_S
        await asyncio.sleep(PERIOD_S)
        now = loop.time()
        observe(max(0.0, now - due), now)
