"""Scope: many cases against one parser, by hypothesis: what it raised, how long it took, what memory it kept."""

from __future__ import annotations

import gc
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import Choices
from tests.fuzz.parsers import Parser

MAX_GROWTH_BYTES = 48 * 2**20
_BATCH = 2000  # hypothesis remembers the cases of one run; its memory goes with it


@dataclass
class Report:
    """What became of the cases: `outcomes` counts those that passed ("accepted") and the errors by kind."""

    parser: str
    cases: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    growth_bytes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def run(parser: Parser, cases: int, start: int = 0) -> Report:
    """At least this many cases, the batches seeded from `start` on. Raises whatever is not documented, or
    AssertionError for a broken promise, with the smallest case that hypothesis finds."""
    report, resident, began = Report(parser.name), None, time.monotonic()
    number = start
    while report.cases < cases:
        _batch(parser, min(_BATCH, cases - report.cases), number, report)
        number += 1
        if resident is None or report.cases * 4 <= cases:
            resident = _resident()
    assert resident is not None
    report.growth_bytes = max(0, _resident() - resident)
    report.seconds = time.monotonic() - began
    if report.growth_bytes > MAX_GROWTH_BYTES:
        raise AssertionError(f"{parser.name}: memory grew by {report.growth_bytes / 2**20:.0f} MiB")
    return report


def _batch(parser: Parser, cases: int, number: int, report: Report) -> None:
    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.binary(min_size=48, max_size=96))
    def one_case(data: bytes) -> None:
        value = parser.make(Choices(data))
        began = time.process_time()
        outcome = _outcome(parser, value)
        spent = time.process_time() - began
        if spent > parser.max_case_s:  # a pause of the collector's, or the parser's own doing
            spent = min(spent, *(_timed(parser, value) for _ in range(3)))
            assert spent <= parser.max_case_s, f"{parser.name}: {spent * 1000:.0f} ms for {value!r:.200}"
        report.cases += 1
        report.slowest_s = max(report.slowest_s, spent)
        report.outcomes[outcome] += 1

    one_case()


def _timed(parser: Parser, value: object) -> float:
    began = time.process_time()
    _outcome(parser, value)
    return time.process_time() - began


def _outcome(parser: Parser, value: object) -> str:
    try:
        parser.parse(value)
    except parser.documented as error:
        code = getattr(getattr(error, "body", error), "code", "")
        return code or type(error).__name__
    return "accepted"


def _resident() -> int:
    gc.collect()
    resident: int = psutil.Process().memory_info().rss
    return resident
