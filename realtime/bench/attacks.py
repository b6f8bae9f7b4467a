"""Measures what hostile callers cost the others, and what calls leave behind (`voiced bench attacks`).

A real server speaks to a few listeners. Attacks are measured in turns, each beside a quiet turn just before it, so that
what else the machine does slows both. Attackers run in a process of their own, at idle priority; what their CPU time
alone costs is the first row. The bar is for the server's own view of its lateness, in which the listeners' process has
no part.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from realtime.bench.attacks_companion import Companion, companion
from realtime.bench.attacks_listeners import Arrival, Heard
from realtime.bench.attacks_server import Held, Observed
from realtime.bench.attacks_strangers import ATTACKS, NO_ATTACK
from realtime.bench.report import Table, add_common_arguments, environment, percentile_ms, progress
from realtime.bench.serve import flags_of
from realtime.bench.served import served
from realtime.bench.webrtc_callers import lateness

NAME = "attacks"
HELP = "hostile WebRTC callers: what the others notice, and what is left behind"
BARS = {"server_late_p99_vs_quiet": ("<=", 1.2), "rss_growth_mib": ("<=", 20.0), "kib_per_connect": ("<", 20.0)}

_TEXT = "Good morning. The train to the coast leaves at nine from platform four. Would you like a seat by the window?"
_QUICK = ("mutated offers", "half-open offers", "event flood")
_READY_S = 120.0
_STRIKE_S = 60.0
_RELEASE_S = 25.0
_SETTLE_S = 0.5
_WARM_UP = 300
_AT_A_TIME = 10
_CALL_S = 60.0


@dataclass(frozen=True)
class Window:
    """Holds one turn: when it was, by the clock of the arrivals, and the server's p99 of its own lateness in it."""

    begun: float
    ended: float
    server_p99_ms: float | None


@dataclass
class Rounds:
    """Holds what was measured of one attack, one entry per round."""

    quiet: list[Window] = field(default_factory=list)
    attacked: list[Window] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    released_s: list[float | None] = field(default_factory=list)
    before: list[Held] = field(default_factory=list)
    after: list[Held] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    add_common_arguments(parser)
    parser.add_argument("--listeners", type=int, default=4, help="who are being spoken to (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each attack (default: %(default)s)")
    parser.add_argument("--attacks", default="", help="beginnings of names, with commas; empty: all")
    parser.add_argument("--connects", type=int, default=900, help="calls of the second table (default: %(default)s)")
    parser.add_argument("--model", default="", help="checkpoint; empty: the built-in one")
    parser.add_argument("--slots", type=int, default=16, help="voices at once (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="torch threads of the engine (default: half the cores)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the result; README.md explains the keys."""
    names = _named(args.attacks) if args.attacks else list(_QUICK if args.quick else ATTACKS)
    listeners, seconds, rounds = (1, 1.0, 1) if args.quick else (args.listeners, args.seconds, args.rounds)
    load_before = os.getloadavg()[0]
    runs: list[dict[str, Any]] = []
    if names:
        with served(flags_of(args)) as (process, address):
            runs = asyncio.run(_attacked(Observed(process, address), address, names, listeners, seconds, rounds))
    connects: list[dict[str, Any]] = []
    if args.connects:
        warm_up, count = (2, 4) if args.quick else (min(_WARM_UP, args.connects // 3), args.connects)
        with served(flags_of(args)) as (process, address):
            connects = asyncio.run(_connected(Observed(process, address), address, warm_up, count - warm_up))
    return {
        "benchmark": NAME,
        "quick": args.quick,
        "environment": environment(),
        "load_average": [load_before, os.getloadavg()[0]],
        "listeners": listeners,
        "seconds": seconds,
        "rounds": rounds,
        "runs": runs,
        "connects": connects,
        "bars": {
            key: {"bar": f"{sign} {bar:g}", "holds": _holds(key, runs, connects)} for key, (sign, bar) in BARS.items()
        },
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the result for people."""
    before, after = result["load_average"]
    late = ["quiet_p50_ms", "quiet_p99_ms", "late_p99_ms", "late_p99_vs_quiet"]
    late += ["server_quiet_p99_ms", "server_late_p99_ms", "server_late_p99_vs_quiet"]
    left = ["missing_packets", "rss_growth_mib", "released_s", "released"]
    notes = [
        "packets at the listeners, against the earliest of each call; attackers run where nobody else wants to",
        f"load average of the machine: {before:.2g} before, {after:.2g} after",
        *(f"{key} {bar['bar']}: {_word(bar['holds'])}" for key, bar in result["bars"].items()),
        *(["quick: too small to mean anything"] if result["quick"] else []),
    ]
    answered = [
        (row["attack"], ", ".join(f"{what} × {count}" for what, count in row["answered"].items()) or "-")
        for row in result["runs"]
    ]
    setting = (
        f"{result['listeners']} listeners, {result['rounds']} rounds of {result['seconds']:g} s beside as much quiet"
    )
    columns = ["attack", "quiet p50 ms", "p99 ms", "attacked p99 ms", "× quiet"]
    columns += ["server's own quiet p99 ms", "attacked p99 ms", "× quiet"]
    columns += ["missing packets", "RSS + MiB", "released after s", "all released"]
    shown = [(row["attack"], *(row[key] for key in [*late, *left])) for row in result["runs"]]
    calls = [
        "calls",
        "at_a_time",
        "failed",
        "seconds",
        "kib_per_connect",
        "descriptors_left",
        "threads_left",
        "sessions_left",
    ]
    called = [tuple(row[key] for key in calls) for row in result["connects"]]
    names = [
        "calls",
        "at a time",
        "failed",
        "took s",
        "RSS + KiB each",
        "descriptors left",
        "threads left",
        "sessions left",
    ]
    found = [Table(f"Attacks on a server with {setting}", columns, shown, notes)] if shown else []
    found += [Table("What attackers were answered, all rounds", ("attack", "answers"), answered)] if shown else []
    warm = "after a warm-up; threads are of pools, which fill as they are used"
    found += [Table("Calls that connect, hear something and hang up", names, called, [warm])] if called else []
    return found


async def _attacked(
    server: Observed, address: str, names: list[str], listeners: int, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    measured = {name: Rounds() for name in names}
    progress(f"{listeners} listeners")
    async with companion("realtime.bench.attacks_listeners", address, str(listeners), _TEXT) as listening:
        await listening.said(str, _READY_S)
        for turn in range(rounds):
            for name, taken in measured.items():
                progress(f"round {turn + 1}: {name}")
                await _round(server, address, name, seconds, taken)
        listening.tell("enough")
        heard = await listening.said(list[Heard], _READY_S)
    return [_row(name, taken, heard) for name, taken in measured.items()]


async def _round(server: Observed, address: str, name: str, seconds: float, taken: Rounds) -> None:
    taken.before.append(await server.held())
    async with companion("realtime.bench.attacks_strangers", address, name, str(seconds)) as strangers:
        await strangers.said(str, _READY_S)
        await asyncio.sleep(_SETTLE_S)
        taken.quiet.append(await _window(server, seconds))
        strangers.tell("go")
        taken.attacked.append(await _window(server, seconds))
        taken.answered.update(await strangers.said(dict[str, int], seconds + _STRIKE_S))
    taken.released_s.append(await server.released(taken.before[-1], _RELEASE_S))
    taken.after.append(await server.held())


async def _window(server: Observed, seconds: float) -> Window:
    before = await server.lateness()
    begun = time.monotonic()
    await asyncio.sleep(seconds)
    ended = time.monotonic()
    return Window(begun, ended, (await server.lateness()).percentile_ms(99, before))


def _row(name: str, taken: Rounds, heard: list[Heard]) -> dict[str, Any]:
    """Return one attack's medians."""
    quiet = [_late_s(window, heard) for window in taken.quiet]
    attacked = [_late_s(window, heard) for window in taken.attacked]
    quiet_p99 = [percentile_ms(late, 99) for late in quiet]
    attacked_p99 = [percentile_ms(late, 99) for late in attacked]
    server_quiet = [window.server_p99_ms for window in taken.quiet]
    server_attacked = [window.server_p99_ms for window in taken.attacked]
    released = [after for after in taken.released_s if after is not None]
    return {
        "attack": name,
        "answered": dict(taken.answered.most_common()),
        "quiet_p50_ms": _median([percentile_ms(late, 50) for late in quiet]),
        "quiet_p99_ms": _median(quiet_p99),
        "late_p50_ms": _median([percentile_ms(late, 50) for late in attacked]),
        "late_p99_ms": _median(attacked_p99),
        "late_p99_vs_quiet": _ratio(attacked_p99, quiet_p99),
        "server_quiet_p99_ms": _median(server_quiet),
        "server_late_p99_ms": _median(server_attacked),
        "server_late_p99_vs_quiet": _ratio(server_attacked, server_quiet),
        "missing_packets": sum(_missing(window, one) for window in taken.attacked for one in heard),
        "failed_responses": sum(one.failed for one in heard),
        "rss_growth_mib": taken.after[-1].rss_mib - taken.before[0].rss_mib,
        "released_s": max(released, default=None),
        "released": len(released) == len(taken.released_s),
    }


def _within(window: Window, one: Heard) -> list[Arrival]:
    return [arrival for arrival in one.arrivals if window.begun <= arrival.at < window.ended]


def _late_s(window: Window, heard: list[Heard]) -> list[float]:
    calls = ([(arrival.at, arrival.timestamp) for arrival in _within(window, one)] for one in heard)
    return [late for call in calls for late in lateness(call)]


def _missing(window: Window, one: Heard) -> int:
    """Count the packets between the first and the last of a call in a turn that never came."""
    came = _within(window, one)
    if not came:
        return 0
    span = ((came[-1].sequence - came[0].sequence) & 0xFFFF) + 1
    everything = {arrival.sequence for arrival in one.arrivals}
    return sum((came[0].sequence + offset) & 0xFFFF not in everything for offset in range(span))


async def _connected(server: Observed, address: str, warm_up: int, count: int) -> list[dict[str, Any]]:
    async with companion("realtime.bench.attacks_connects", address, _TEXT) as callers:
        begun = await server.held()
        await _calls(server, callers, begun, warm_up, _AT_A_TIME)
        alone = count // 2
        return [
            await _calls(server, callers, begun, alone, 1),
            await _calls(server, callers, begun, count - alone, _AT_A_TIME),
        ]


async def _calls(server: Observed, callers: Companion, begun: Held, count: int, at_a_time: int) -> dict[str, Any]:
    progress(f"{count} calls, {at_a_time} at a time")
    before, started = await server.held(), time.monotonic()
    callers.tell(f"{count} {at_a_time}")
    failed = await callers.said(int, _READY_S + count * _CALL_S / at_a_time)
    took = time.monotonic() - started
    await server.released(begun, _RELEASE_S)
    after = await server.held()
    return {
        "calls": count,
        "at_a_time": at_a_time,
        "failed": failed,
        "seconds": took,
        "kib_per_connect": 1024 * (after.rss_mib - before.rss_mib) / max(1, count),
        "descriptors_left": after.descriptors - begun.descriptors,
        "threads_left": after.threads - before.threads,
        "sessions_left": after.sessions - begun.sessions,
    }


def _named(text: str) -> list[str]:
    """List the attacks whose names begin with one of the given words."""
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    return [name for name in ATTACKS if any(name.startswith(part) for part in wanted)]


def _holds(key: str, runs: list[dict[str, Any]], connects: list[dict[str, Any]]) -> bool | None:
    """Tell whether every row is within the bar; None for a table that was not asked for."""
    values = [row[key] for row in [*runs, *connects] if key in row and row.get("attack") != NO_ATTACK]
    sign, bar = BARS[key]
    if not values:
        return None
    return all(value is not None and (value <= bar if sign == "<=" else value < bar) for value in values)


def _word(holds: bool | None) -> str:
    return "not measured" if holds is None else "holds" if holds else "does not hold"


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _ratio(attacked: list[float | None], quiet: list[float | None]) -> float | None:
    """Return the median of the ratios, turn by turn."""
    return _median([a / q if a is not None and q else None for a, q in zip(attacked, quiet, strict=True)])
