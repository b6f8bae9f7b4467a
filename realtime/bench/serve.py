"""Measures what N listeners of a running server hear, and what serving them costs (`voiced bench serve`).

The server runs as users run it (gateway and engine process), the listeners in a process of their own, as clients in
real time over one of the protocols served. Everything is measured at the listener: first audio counts from sending the
text, a gap is time without anything left to play. The reference of the run is one listener alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from typing import Any

import psutil

from realtime.bench.report import Table, add_common_arguments, environment, percentile_ms, progress
from realtime.bench.served import cpu_seconds, served

NAME = "serve"
HELP = "listeners of a running server: first audio, gaps, barge-in, CPU"
_TEXT = "Good morning. The train to the coast leaves at nine from platform four. Would you like a seat by the window?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    add_common_arguments(parser)
    protocols = ("realtime", "speech", "cartesia", "webrtc")
    parser.add_argument("--protocol", choices=protocols, default="realtime", help="how they are connected")
    parser.add_argument("--listeners", default="1,4,8", help="how many at a time, in turns (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn (default: %(default)s)")
    parser.add_argument("--model", default="", help="checkpoint; empty: the built-in one")
    parser.add_argument("--slots", type=int, default=16, help="voices at once (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="torch threads of the engine (default: half the cores)")


def flags_of(args: argparse.Namespace) -> list[str]:
    """Return the flags of `voiced serve` that the options of this benchmark stand for."""
    return ["--slots", str(args.slots), "--threads", str(args.threads), "--model", args.model]


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the result; README.md explains the keys."""
    counts = [1] if args.quick else [int(part) for part in args.listeners.split(",")]
    seconds = 4.0 if args.quick else args.seconds
    with served(flags_of(args)) as (process, address):
        with urllib.request.urlopen(f"http://{address}/readyz") as answer:
            engine = json.load(answer)["engine"]
        rows = [_turn(process, address, args.protocol, count, seconds) for count in counts]
    alone = rows[0]
    for row in rows:
        row["first_audio_p95_vs_alone"] = _ratio(row["first_audio_p95_ms"], alone["first_audio_p95_ms"])
    return {
        "benchmark": NAME,
        "quick": args.quick,
        "protocol": args.protocol,
        "environment": environment(engine["threads"], engine["device"]),
        "checkpoint": engine["checkpoint"],
        "kind": engine["kind"],
        "decoder": engine["decoder"],
        "seconds": seconds,
        "turns": rows,
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the result for people."""
    columns = [
        "listeners",
        "responses",
        "first audio p50 ms",
        "p95 ms",
        "p95 vs alone",
        "gap > 100 ms %",
        "silence p95 ms",
        "refused",
        "gateway CPU % per session",
        "engine CPU %",
    ]
    keys = [
        "listeners",
        "responses",
        "first_audio_p50_ms",
        "first_audio_p95_ms",
        "first_audio_p95_vs_alone",
        "gap_share_percent",
        "silence_p95_ms",
        "refused",
        "gateway_cpu_percent_per_session",
        "engine_cpu_percent",
    ]
    runs = f"checkpoint {result['checkpoint']} ({result['kind']}), {result['decoder']} decoder"
    title = f"Listeners over {result['protocol']}, {runs}"
    rows = [[turn[key] for key in keys] for turn in result["turns"]]
    note = "silence: from asking to stop (speech: hanging up) to the last audio that still arrived"
    return [Table(title, columns, rows, [note])]


def _turn(server: psutil.Process, address: str, protocol: str, count: int, seconds: float) -> dict[str, Any]:
    progress(f"{count} listeners for {seconds:g} s")
    before, begun = cpu_seconds(server), time.monotonic()
    command = [sys.executable, "-m", "realtime.bench.listeners", protocol, address]
    done = subprocess.run([*command, str(count), str(seconds), _TEXT], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the listeners failed: {done.stderr.strip().splitlines()[-1]}")
    heard, after, took = json.loads(done.stdout), cpu_seconds(server), time.monotonic() - begun
    first, gaps, silence = heard["first_audio_s"], heard["longest_gap_s"], heard["silence_s"]
    return {
        "listeners": count,
        "responses": len(first),
        "refused": heard["refused"],
        "audio_s": round(heard["audio_s"], 2),
        "first_audio_p50_ms": percentile_ms(first, 50),
        "first_audio_p95_ms": percentile_ms(first, 95),
        "gap_share_percent": 100.0 * sum(gap > 0.1 for gap in gaps) / len(gaps) if gaps else None,
        "longest_gap_ms": percentile_ms(gaps, 100),
        "silence_p95_ms": percentile_ms(silence, 95),
        "gateway_cpu_percent": 100.0 * (after[0] - before[0]) / took,
        "gateway_cpu_percent_per_session": 100.0 * (after[0] - before[0]) / took / count,
        "engine_cpu_percent": 100.0 * (after[1] - before[1]) / took,
    }


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None
