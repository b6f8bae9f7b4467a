"""Scope: the long run: `python -m tests.fuzz [sessions|calls|PARSER …] [--cases 100000] [--steps 20000]`.

Not collected by pytest: there, `test_parsers.py` tries a small part of it. Without names, everything runs. Ends with 1
when something escaped that should not have.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.parsers import PARSERS
from tests.fuzz.runs import Report, run
from tests.session.playing import PlayingSessions
from tests.session.sessions import Sessions

_MACHINES = {"sessions": Sessions, "calls": PlayingSessions}
_STEPS_A_SESSION = 100


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Everything strangers can send.")
    arguments.add_argument(
        "names", nargs="*", help="'sessions', 'calls', or the beginning of a parser's name; none: all"
    )
    arguments.add_argument("--cases", type=int, default=100_000, help="for each parser")
    arguments.add_argument("--steps", type=int, default=20_000, help="of sessions and of calls, at least")
    arguments.add_argument("--seed", type=int, default=0, help="number of the first batch")
    asked = arguments.parse_args()
    known = [*_MACHINES, *(parser.name for parser in PARSERS)]
    unknown = [name for name in asked.names if not any(one.startswith(name) for one in known)]
    if unknown:
        arguments.error(f"there is no {unknown[0]!r}; there are: {', '.join(known)}")

    def wanted(name: str) -> bool:
        return not asked.names or any(name.startswith(given) for given in asked.names)

    logging.disable(logging.WARNING)  # what the form parser says of each bad form
    failed = False
    print(f"{'parser':24} {'cases':>8} {'seconds':>8} {'slowest':>8} {'memory':>8}  outcomes", flush=True)
    for parser in PARSERS:
        if wanted(parser.name):
            try:
                print(_line(run(parser, asked.cases, asked.seed)), flush=True)
            except Exception:  # the next parsers are of interest all the same
                traceback.print_exc()
                failed = True
    for name, machine in _MACHINES.items():
        if wanted(name):
            _sessions(name, machine, asked.steps)
    return int(failed)


def _line(report: Report) -> str:
    outcomes = ", ".join(f"{kind} {count}" for kind, count in report.outcomes.most_common())
    return (
        f"{report.parser:24} {report.cases:8} {report.seconds:8.1f} {report.slowest_s * 1000:5.1f} ms"
        f" {report.growth_bytes / 2**20:4.1f} MiB  {outcomes}"
    )


def _sessions(name: str, machine: type[Sessions], steps: int) -> None:
    """Sessions until there were this many steps."""
    began, before = time.monotonic(), machine.steps
    while machine.steps - before < steps:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=100,
                stateful_step_count=_STEPS_A_SESSION,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    print(f"{name:24} {machine.steps - before:8} {time.monotonic() - began:8.1f}  steps, no invariant broken")


if __name__ == "__main__":
    sys.exit(main())
