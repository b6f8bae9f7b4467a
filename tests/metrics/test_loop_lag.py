"""Scope: how late the event loop is: the worst of a window, and a stall that is noticed."""

import asyncio
import contextlib
import random
import time

from realtime.metrics.loop_lag import Worst, measure_lag


def test_the_worst_is_that_of_the_window_and_no_older() -> None:
    worst = Worst(10.0)
    assert worst.at(5.0) == 0.0
    for now, value in ((0.0, 3.0), (4.0, 1.0), (8.0, 2.0)):
        worst.push(value, now)
    assert worst.at(8.0) == 3.0
    assert worst.at(10.0) == 3.0, "the edge belongs to the window"
    assert worst.at(10.1) == 2.0
    assert worst.at(18.1) == 0.0


def test_the_worst_equals_the_largest_of_all_values_in_the_window() -> None:
    chance = random.Random(7)
    worst, seen, now = Worst(1.0), list[tuple[float, float]](), 0.0
    for _ in range(2000):
        now += chance.choice((0.0, 0.01, 0.05, 0.6))
        seen.append((now, chance.choice((0.0, 0.5, chance.random()))))
        worst.push(seen[-1][1], now)
        assert worst.at(now) == max(value for at, value in seen if at >= now - 1.0)


async def test_a_loop_that_stands_still_is_noticed_as_late() -> None:
    seen: list[tuple[float, float]] = []
    measuring = asyncio.create_task(measure_lag(lambda late_s, now: seen.append((late_s, now))))
    while len(seen) < 2:
        await asyncio.sleep(0.01)
    time.sleep(0.2)  # noqa: ASYNC251
    calm = len(seen)
    while len(seen) == calm:
        await asyncio.sleep(0.01)
    measuring.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await measuring
    late_s, now = seen[calm]
    assert late_s >= 0.14, "what was due within 50 ms came after 200"
    assert all(late_s >= 0.0 for late_s, _ in seen)
    assert now >= seen[0][1] + 0.2
