"""Measures what a two-way call costs the process that hosts it, and when its packets arrive, beside aiortc as it comes
(`voiced bench webrtc`).

Both sides host the same number of calls, each in a process of its own, and have the same callers, in a third. They are
measured in turns. What counts is CPU time, not the clock: it says the same on a machine that has other work. Where a
side falls behind, fewer packets pass, so cost is counted by the packet.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from realtime.bench.report import Table, add_common_arguments, environment, percentile_ms, progress
from realtime.bench.webrtc_messages import (
    AnswerOffers,
    Answers,
    Child,
    Connect,
    Connected,
    Heard,
    MakeOffers,
    Offers,
    Play,
    Played,
    Sound,
    Talk,
    child,
)

NAME = "webrtc"
HELP = "two-way calls: sessions per core and lateness of packets, beside aiortc"
BARS = {"sessions_vs_stock": (">=", 4.0)}

_WARM_S = 0.5
_PATIENCE_S = 120.0
_PACKETS_PER_S = 50


@dataclass(frozen=True)
class Setting:
    """Says what is measured in a turn.

    `side` hosts the calls, and `sound` is what both ends say. `detect` has the host look for speech. `lossy` has
    callers report losses, which makes us protect packets.
    """

    side: str
    sound: Sound
    detect: bool = False
    lossy: bool = False


_SETTINGS = (
    Setting("ours", "speech"),
    Setting("stock", "speech"),
    Setting("ours", "speech", lossy=True),
    Setting("ours", "speech", detect=True),
    Setting("ours", "silence"),
    Setting("stock", "silence"),
)


@dataclass
class Rounds:
    """Holds what was measured of one setting, one entry per turn."""

    played: list[Played] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    @property
    def cpu_s(self) -> list[float]:
        """Return the CPU seconds of one packet sent and one heard, in each turn."""
        return [played.cpu_s / _packets(played) for played in self.played]

    @property
    def hearing_cpu_s(self) -> list[float]:
        """Return the CPU seconds that the process that hears takes for one packet heard, in each turn."""
        return [played.hearing_cpu_s / _packets(played) for played in self.played]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    add_common_arguments(parser)
    parser.add_argument("--sessions", type=_count, default=20, help="calls at a time (default: %(default)s)")
    parser.add_argument("--seconds", type=_length, default=2.0, help="of each turn (default: %(default)s)")
    parser.add_argument("--rounds", type=_count, default=5, help="turns of each setting (default: %(default)s)")
    parser.add_argument(
        "--rate", type=int, choices=(24000, 48000), default=24000, help="of aiortc's raw frames (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the result; README.md explains the keys."""
    sessions, seconds, rounds = (2, 0.4, 1) if args.quick else (args.sessions, args.seconds, args.rounds)
    warm_s = 0.2 if args.quick else _WARM_S
    measured = asyncio.run(_measure(sessions, warm_s, seconds, rounds, args.rate))
    runs = [_row(setting, measured[setting], sessions, seconds) for setting in _SETTINGS]
    stock = {setting.sound: measured[setting].cpu_s for setting in _SETTINGS if setting.side == "stock"}
    for setting, row in zip(_SETTINGS, runs, strict=True):
        # turn by turn: what else the machine did was much the same in both
        turns = zip(stock[setting.sound], measured[setting].cpu_s, strict=True)
        row["sessions_vs_stock"] = statistics.median(theirs / ours for theirs, ours in turns)
    own_late_s = [late / 1e6 for taken in measured.values() for heard in taken.heard for late in heard.own_late_us]
    value = runs[0]["sessions_vs_stock"]
    return {
        "benchmark": NAME,
        "quick": args.quick,
        "environment": environment(),
        "sessions": sessions,
        "seconds": seconds,
        "rounds": rounds,
        "stock_rate": args.rate,
        "runs": runs,
        "callers_late_p99_ms": percentile_ms(own_late_s, 99),
        "bars": {key: {"bar": f"{sign} {bar}", "holds": value >= bar} for key, (sign, bar) in BARS.items()},
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the result for people."""
    settings = [Setting(row["side"], row["sound"], row["detection"], row["lossy"]) for row in result["runs"]]
    names = [_name(setting) for setting in settings]
    cost = ["sessions_per_core", "sessions_vs_stock", "cpu_us_per_packet", "hearing_cpu_us_per_packet", "cpu_percent"]
    cost += ["sent_percent", "heard_percent"]
    late = [f"{end}_late_{share}_ms" for end in ("arrival", "host") for share in ("p50", "p99", "max")]
    (bar,) = result["bars"].values()
    notes = [
        "CPU per packet: one sent and one heard, as 20 ms of a two-way call have; the whole process counts",
        "hearing's: CPU of the process that looks for speech, beside the host and not part of its figures",
        f"× aiortc, speech: {bar['bar']} {'holds' if bar['holds'] else 'does not hold'}",
        *(["quick: too small to mean anything"] if result["quick"] else []),
    ]
    return [
        Table(
            f"{result['sessions']} two-way calls in one process, 50 packets a second each way, {result['rounds']} "
            f"rounds of {result['seconds']:g} s; aiortc is given frames at {result['stock_rate']} Hz",
            ("host", "sessions per core", "× aiortc", "CPU µs per packet", "hearing's", "CPU %", "sent %", "heard %"),
            [(name, *(row[key] for key in cost)) for name, row in zip(names, result["runs"], strict=True)],
            notes,
        ),
        Table(
            "Lateness in ms: of packets at the caller, against the earliest of the call; of the host's wake-ups",
            ("host", "arrival p50", "p99", "max", "wake-up p50", "p99", "max"),
            [(name, *(row[key] for key in late)) for name, row in zip(names, result["runs"], strict=True)],
            [f"callers' own wake-ups: p99 {result['callers_late_p99_ms']:.2g} ms, which tells how busy the machine is"],
        ),
    ]


async def _measure(sessions: int, warm_s: float, seconds: float, rounds: int, rate: int) -> dict[Setting, Rounds]:
    measured = {setting: Rounds() for setting in _SETTINGS}
    async with AsyncExitStack() as children:
        callers = await children.enter_async_context(child("realtime.bench.webrtc_callers"))
        hosts: dict[str, Child] = {}
        groups: dict[str, int] = {}
        for side in ("ours", "stock"):
            progress(f"connecting {sessions} calls ({side})")
            hosts[side] = await children.enter_async_context(child("realtime.bench.webrtc_host", side, str(rate)))
            groups[side] = await _connected(callers, hosts[side], sessions)
        for turn in range(rounds):
            for setting, taken in measured.items():
                progress(f"round {turn + 1}: {_name(setting)}")
                talk = Talk(groups[setting.side], setting.sound, setting.lossy, warm_s, seconds)
                play = Play(setting.sound, setting.detect, warm_s, seconds)
                within_s = warm_s + seconds + _PATIENCE_S
                played, heard = await asyncio.gather(
                    hosts[setting.side].ask(play, Played, within_s), callers.ask(talk, Heard, within_s)
                )
                taken.played.append(played)
                taken.heard.append(heard)
    return measured


async def _connected(callers: Child, host: Child, sessions: int) -> int:
    """Connect `sessions` new calls, and return the number of their group."""
    offers = await callers.ask(MakeOffers(sessions), Offers, _PATIENCE_S)
    answers = await host.ask(AnswerOffers(offers.sdp), Answers, _PATIENCE_S)
    return (await callers.ask(Connect(answers.sdp), Connected, _PATIENCE_S)).group


def _packets(played: Played) -> float:
    return max(1.0, (played.sent + played.heard) / 2)


def _row(setting: Setting, taken: Rounds, sessions: int, seconds: float) -> dict[str, Any]:
    """Return one setting's medians; lateness is that of the packets of all rounds."""
    cpu_s = statistics.median(taken.cpu_s)
    due = sessions * _PACKETS_PER_S
    arrival_s = [late / 1e6 for heard in taken.heard for late in heard.late_us]
    host_s = [late / 1e6 for played in taken.played for late in played.late_us]
    late = {
        f"{end}_late_{name}_ms": percentile_ms(values, percent)
        for end, values in (("arrival", arrival_s), ("host", host_s))
        for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
    }
    return {
        "side": setting.side,
        "sound": setting.sound,
        "detection": setting.detect,
        "lossy": setting.lossy,
        "sessions_per_core": 1 / (cpu_s * _PACKETS_PER_S),
        "cpu_us_per_packet": cpu_s * 1e6,
        "hearing_cpu_us_per_packet": statistics.median(taken.hearing_cpu_s) * 1e6,
        "cpu_percent": statistics.median(100 * played.cpu_s / played.wall_s for played in taken.played),
        "sent_percent": statistics.median(100 * played.sent / played.wall_s / due for played in taken.played),
        "heard_percent": statistics.median(100 * played.heard / played.wall_s / due for played in taken.played),
        "arrived_percent": statistics.median(100 * len(heard.late_us) / seconds / due for heard in taken.heard),
        **late,
    }


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is too few, give at least 1")
    return value


def _length(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is out of range, give 0.1 to 3600 seconds")
    return value


def _name(setting: Setting) -> str:
    side = "voiced" if setting.side == "ours" else "aiortc"
    return ", ".join(
        [
            side,
            setting.sound,
            *(["losses reported"] if setting.lossy else []),
            *(["detection"] if setting.detect else []),
        ]
    )
