"""Shows what benchmarks measured: tables for people, one JSON object for machines.

Every benchmark module has `NAME`, `HELP`, `add_arguments(parser)`, `run(args) -> dict` and `tables(result)`. `run`
gives one JSON-able object whose keys `realtime/bench/README.md` documents; `tables` says the same for people.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

Cell = str | float | int | bool | None


@dataclass(frozen=True)
class Table:
    """Holds a titled table; numbers are right-aligned, floats get three significant digits."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()


class Benchmark(Protocol):
    """Says what a benchmark module offers."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> dict[str, Any]: ...
    def tables(self, result: dict[str, Any]) -> list[Table]: ...


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all benchmarks have."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--quick", action="store_true", help="smallest sizes: shows that it runs, measures nothing")


def show(benchmark: Benchmark, result: dict[str, Any], *, as_json: bool, out: TextIO | None = None) -> None:
    """Print a result, as tables or as one JSON object."""
    stream = out or sys.stdout
    if as_json:
        stream.write(json.dumps(result, allow_nan=False) + "\n")
        return
    stream.write(environment_line(result["environment"]) + "\n")
    for table in benchmark.tables(result):
        stream.write("\n" + text(table))


def text(table: Table) -> str:
    """Write a table as aligned plain text."""
    cells = [[_cell(value) for value in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *cells, strict=True)]
    numeric = [all(not isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]

    def line(values: Sequence[str]) -> str:
        padded = [v.rjust(w) if n else v.ljust(w) for v, w, n in zip(values, widths, numeric, strict=True)]
        return "  ".join(padded).rstrip() + "\n"

    body = line(table.columns) + line(["-" * width for width in widths]) + "".join(map(line, cells))
    return f"{table.title}\n{body}" + "".join(f"  {note}\n" for note in table.notes)


def environment(threads: int | None = None, device: str = "cpu") -> dict[str, Cell]:
    """Describe the machine and the versions of a run. `threads` None leaves torch out, for a simulation."""
    found: dict[str, Cell] = {"cpu": _cpu_model(), "cpus": os.cpu_count() or 1, "python": platform.python_version()}
    if threads is not None:
        import torch
        import transformers

        found |= {"torch": torch.__version__, "transformers": transformers.__version__}
        found |= {"threads": threads, "device": device}
    return found


def environment_line(environment: dict[str, Cell]) -> str:
    """Write the environment as one line."""
    return " · ".join(f"{name} {value}" for name, value in environment.items())


def progress(stage: str) -> None:
    """Tell a person who waits what is being measured, on stderr."""
    print(stage, file=sys.stderr, flush=True)


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def median_seconds(*works: Callable[[], object], rounds: int) -> list[float]:
    """Return the median wall time of each piece of work, taken in turns so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            taken.append(seconds(work))
    return [statistics.median(taken) for taken in times]


def percentile_ms(values_s: Sequence[float], percent: int) -> float | None:
    """Return a percentile of seconds in milliseconds; 100 gives the largest. None if there are no values."""
    if not values_s:
        return None
    if percent == 100 or len(values_s) == 1:
        return max(values_s) * 1e3
    return statistics.quantiles(values_s, n=100, method="inclusive")[percent - 1] * 1e3


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".") if math.isfinite(value) else "-"
    return str(value)


def _cpu_model() -> str:
    try:
        for entry in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if entry.startswith("model name"):
                return entry.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
