"""Measures spoken conversations (`voiced bench talk`): how long after their last sound callers hear an answer.

The server runs as users run it, with the brain by rules. Callers speak recordings in real time over WebSockets, in a
process of their own. The reference of the run is one caller alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from realtime.bench.report import Table, add_common_arguments, environment, percentile_ms, progress
from realtime.bench.served import served

NAME = "talk"
HELP = "callers who speak recordings: from their last sound to the answer's first, gaps, CPU and memory"
_RECORDINGS = "/usr/share/pocketsphinx/test/data/librivox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    add_common_arguments(parser)
    parser.add_argument("--callers", default="1,4", help="how many at a time, in rounds (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=10, help="of each caller (default: %(default)s)")
    parser.add_argument("--silence-ms", type=int, default=500, help="silence that ends a turn (default: %(default)s)")
    parser.add_argument(
        "--recordings",
        default=_RECORDINGS,
        help="folder of WAV or FLAC files (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the result; README.md explains the keys. Raises RuntimeError."""
    files = sorted(str(file) for file in Path(args.recordings).glob("*") if file.suffix in (".wav", ".flac"))
    if not files:
        raise RuntimeError(
            f"{args.recordings} holds no WAV or FLAC file; install pocketsphinx-testdata or --recordings"
        )
    counts = [1] if args.quick else [int(part) for part in args.callers.split(",")]
    turns = 2 if args.quick else args.turns
    with served(["--brain", "rules"]) as (process, address):
        rows = [_round(process, address, count, turns, args.silence_ms, files) for count in counts]
    alone = rows[0]["stop_to_sound_ms_p50"]
    for row in rows:
        row["p50_vs_alone"] = row["stop_to_sound_ms_p50"] / alone if row["stop_to_sound_ms_p50"] and alone else None
    return {
        "benchmark": NAME,
        "quick": args.quick,
        "environment": environment(),
        "silence_ms": args.silence_ms,
        "rounds": rows,
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the result for people."""
    keys = {
        "callers": "callers",
        "turns": "turns",
        "unanswered": "unanswered",
        "stop_to_sound_ms_p50": "first sound p50 ms",
        "stop_to_sound_ms_p95": "p95 ms",
        "p50_vs_alone": "p50 vs alone",
        "text_by_end_of_turn": "text by end of turn",
        "gaps": "gaps",
        "cpu_percent": "CPU %",
        "memory_mb": "memory MB",
    }
    rows = [[row[key] for key in keys] for row in result["rounds"]]
    title = f"Spoken conversations, turns over after {result['silence_ms']} ms of silence"
    note = "first sound: after the last sound of the question; CPU and memory: of all the server's processes"
    return [Table(title, list(keys.values()), rows, [note])]


def _round(
    server: psutil.Process, address: str, count: int, turns: int, silence_ms: int, files: list[str]
) -> dict[str, Any]:
    progress(f"{count} callers, {turns} turns each")
    before, begun = _spent(server), time.monotonic()
    command = [sys.executable, "-m", "realtime.bench.talk_callers", address, str(count), str(turns), str(silence_ms)]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the callers failed: {done.stderr.strip().splitlines()[-1]}")
    heard, took = json.loads(done.stdout), time.monotonic() - begun
    processes = _processes(server)
    return {
        "callers": count,
        "turns": count * turns,
        "unanswered": heard["unanswered"],
        "stop_to_sound_ms_p50": percentile_ms(heard["sound_s"], 50),
        "stop_to_sound_ms_p95": percentile_ms(heard["sound_s"], 95),
        "turn_over_ms_p50": percentile_ms(heard["over_s"], 50),
        "text_by_end_of_turn": heard["text_in_time"] / max(1, count * turns),
        "gaps": heard["gaps"],
        "cpu_percent": 100.0 * (_spent(server) - before) / took,
        "memory_mb": sum(one.memory_info().rss for one in processes.values()) / 2**20,
        "memory_mb_by_process": {name: one.memory_info().rss / 2**20 for name, one in processes.items()},
    }


def _processes(server: psutil.Process) -> dict[str, psutil.Process]:
    """Return the processes of a server by name: the gateway, and its workers by the module they run."""
    workers = {_module(child): child for child in server.children(recursive=True)}
    return {"gateway": server} | workers


def _module(process: psutil.Process) -> str:
    line = process.cmdline()
    return line[line.index("-m") + 1] if "-m" in line else str(process.pid)


def _spent(server: psutil.Process) -> float:
    times = [process.cpu_times() for process in _processes(server).values()]
    return sum(float(one.user + one.system) for one in times)
