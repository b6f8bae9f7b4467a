"""Measures continuous batching against transformers on the same checkpoint, in the same run (`voiced bench engine`).

Both sides draw the same greedy rows from the same random checkpoint, in float32 on the same number of threads, and the
rows are compared. Neither side decodes audio: `generate` does not, and the engine's codec calls are left out of its
time. Three traces:

* all requests there from the start: ours in a continuous batch, transformers one by one (`frames_per_s_vs_sequential`);
* staggered: request i arrives at i/n of the time transformers' static batch of n takes, the load that it could just
  carry. Counted is the time from the first arrival to the last row. Ours lets requests in as they come. A static batch
  can let nobody in or out, so transformers may do the better of two things: wait for all and run one batch, or run
  whoever is there as a batch to its end, then whoever came meanwhile (`frames_per_s_vs_static_batch`);
* staggered within the time that ours takes for all at once, a denser trace (`..._dense`).

`step_over_gemm` is the time of a decode step with all streams over the bare matrix products of its shapes, with plain
weights (as transformers has them) and with weights laid out as ours are. `host_ms_per_step` is taken on the small
checkpoint with paced listeners that hold little, so that every stream gets a packet in every step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from realtime.bench.endless import BENCH_SIZE, SMALL_SIZE, endless_checkpoint
from realtime.bench.ours import Ours, Outcome, requests
from realtime.bench.peer import Peer
from realtime.bench.report import Table, add_common_arguments, environment, median_seconds, progress
from realtime.checkpoints.noise import Size
from realtime.engine.linear import Linear
from realtime.engine.models.higgs_v2.checkpoint import open_checkpoint
from realtime.engine.models.higgs_v2.model_config import ModelConfig
from realtime.request import Speak

NAME = "engine"
HELP = "continuous batching against transformers' generate on a random checkpoint"

_QUICK_SIZE = Size(hidden=64, layers=2, heads=4, kv_heads=2, head_dim=16, intermediate=128)
BARS = {
    "frames_per_s_vs_sequential": (">=", 8.0),
    "frames_per_s_vs_static_batch": (">=", 1.2),
    "step_over_gemm": ("<=", 1.5),
    "host_ms_per_step": ("<=", 1.5),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--requests", type=int, default=16, help="requests, and slots to run them in")
    parser.add_argument("--rows", type=int, default=100, help="rows of each request")
    parser.add_argument("--rounds", type=int, default=3, help="times everything is measured; medians are reported")
    parser.add_argument("--threads", type=int, default=0, help="torch threads on both sides; 0: half the CPUs")
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, and return the result; README.md explains the keys."""
    count, rows, rounds = (4, 12, 1) if args.quick else (args.requests, args.rows, args.rounds)
    threads = args.threads or max(1, (os.cpu_count() or 2) // 2)
    before = torch.get_num_threads()
    try:
        return _run(count, rows, rounds, threads, _QUICK_SIZE if args.quick else BENCH_SIZE, args.quick)
    finally:
        torch.set_num_threads(before)


def _run(count: int, rows: int, rounds: int, threads: int, size: Size, quick: bool) -> dict[str, Any]:
    progress("making and loading the benchmark checkpoint")
    folder = endless_checkpoint("quick" if quick else "engine", size)
    checkpoint = open_checkpoint(str(folder))
    config = checkpoint.config
    ours = Ours(folder, count, threads)
    peer = Peer(folder, pad_id=config.vocab_size - 1)
    work = [requests(count, rows, codebooks=config.num_codebooks, run=i) for i in range(3 * rounds + 1)]
    prompts = [[ours.prompt(request) for request in batch] for batch in work]

    progress("warming up")
    ours.serve(work[-1], [0.0] * count)
    peer.rows(prompts[-1], 3)

    sequential, static, static_two, at_once = [], [], [], []
    drawn: list[np.ndarray] = []
    for i in range(rounds):  # in turns, so that a busy machine slows all sides alike
        progress(f"all at once, round {i + 1} of {rounds}")
        at_once.append(ours.serve(work[i], [0.0] * count))
        _check(at_once[-1], work[i], rows)
        static.append(peer.seconds(prompts[i], rows))
        static_two.append(peer.seconds(prompts[i], 1))
        for prompt in prompts[0][i::rounds]:
            begun = time.perf_counter()
            drawn.append(peer.rows([prompt], rows)[0])
            sequential.append(time.perf_counter() - begun)
    order = [j for i in range(rounds) for j in range(i, count, rounds)]
    equal = sum(
        np.array_equal(at_once[0].rows[work[0][j].request_id], got) for j, got in zip(order, drawn, strict=True)
    )

    static_s = statistics.median(static)
    ours_s = statistics.median(outcome.took_s for outcome in at_once)
    spread = [i * static_s / count for i in range(count)]
    dense = [i * ours_s / count for i in range(count)]
    staggered, crowded = [], []
    for i in range(rounds):
        progress(f"staggered, round {i + 1} of {rounds}")
        staggered.append(ours.serve(work[rounds + i], spread).took_s)
        crowded.append(ours.serve(work[2 * rounds + i], dense).took_s)
    progress("staggered, transformers")
    cost = _batch_costs(peer, prompts[0], rows, {count: static_s})
    static_spread = min(spread[-1] + static_s, _whoever_is_there(spread, cost))
    static_dense = min(dense[-1] + static_s, _whoever_is_there(dense, cost))

    progress("bare matrix products and host time")
    steps = [step.decode_s for run in at_once for step in run.steps if step.streams == count and not step.prefilled]
    step_s = statistics.median(steps)
    plain_s, packed_s = _products(config, count, rounds=5 if quick else 30)
    peer_step_s = (static_s - statistics.median(static_two)) / (rows - 1)
    host = _host_ms(count, rows, threads)

    frames = count * rows
    sequential_s = sum(sequential)
    results = {
        "frames_per_s_vs_sequential": sequential_s / ours_s,
        "frames_per_s_vs_static_batch": static_spread / statistics.median(staggered),
        "frames_per_s_vs_static_batch_dense": static_dense / statistics.median(crowded),
        "frames_per_s_vs_static_batch_at_once": static_s / ours_s,
        "step_over_gemm": step_s / plain_s,
        "step_over_packed_gemm": step_s / packed_s,
        "transformers_step_over_gemm": peer_step_s / plain_s,
        "host_ms_per_step": host["median"],
        "host_ms_per_step_p95": host["p95"],
        "rows_equal": equal,
        "frames_per_s": frames / ours_s,
        "frames_per_s_sequential": frames / sequential_s,
        "frames_per_s_static_batch": frames / static_s,
        "step_ms": step_s * 1e3,
        "gemm_ms": plain_s * 1e3,
        "packed_gemm_ms": packed_s * 1e3,
        "transformers_step_ms": peer_step_s * 1e3,
        "prompt_positions": float(np.mean([len(prompt) for prompt in prompts[0]])),
    }
    return {
        "benchmark": NAME,
        "quick": quick,
        "environment": environment(threads),
        "requests": count,
        "rows": rows,
        "checkpoint": {"hidden": size.hidden, "layers": size.layers, "codebooks": config.num_codebooks},
        **results,
        "bars": {
            key: {"bar": f"{sign} {bar}", "holds": results[key] >= bar if sign == ">=" else results[key] <= bar}
            for key, (sign, bar) in BARS.items()
        },
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the result for people."""
    bars = [(key, result[key], entry["bar"], entry["holds"]) for key, entry in result["bars"].items()]
    size = result["checkpoint"]
    return [
        Table(
            f"engine: {result['requests']} requests of {result['rows']} rows, hidden {size['hidden']}, "
            f"{size['layers']} layers, {size['codebooks']} codebooks, random weights",
            ("what", "measured", "bar", "holds"),
            bars,
            [
                f"greedy rows equal transformers' for {result['rows_equal']} of {result['requests']} requests",
                "static batch: the better of waiting for all and of running whoever is there",
                *(["quick: too small to mean anything"] if result["quick"] else []),
            ],
        ),
        Table(
            "frames per second (codec not counted), and how ours compares",
            ("side", "frames/s", "ours is times as fast"),
            [
                ("ours, all at once", result["frames_per_s"], 1.0),
                ("transformers, one by one", result["frames_per_s_sequential"], result["frames_per_s_vs_sequential"]),
                (
                    "transformers, static batch, all at once",
                    result["frames_per_s_static_batch"],
                    result["frames_per_s_vs_static_batch_at_once"],
                ),
                ("transformers, static batch, staggered", None, result["frames_per_s_vs_static_batch"]),
                ("transformers, static batch, staggered densely", None, result["frames_per_s_vs_static_batch_dense"]),
            ],
        ),
        Table(
            f"one decode step of {result['requests']} streams",
            ("what", "ms", "over plain products", "over packed products"),
            [
                ("bare products, plain weights", result["gemm_ms"], 1.0, result["gemm_ms"] / result["packed_gemm_ms"]),
                (
                    "bare products, packed weights",
                    result["packed_gemm_ms"],
                    result["packed_gemm_ms"] / result["gemm_ms"],
                    1.0,
                ),
                ("ours", result["step_ms"], result["step_over_gemm"], result["step_over_packed_gemm"]),
                (
                    "transformers",
                    result["transformers_step_ms"],
                    result["transformers_step_over_gemm"],
                    result["transformers_step_ms"] / result["packed_gemm_ms"],
                ),
                ("host work of ours (small checkpoint)", result["host_ms_per_step"], None, None),
            ],
        ),
    ]


def _check(outcome: Outcome, work: Sequence[Speak], rows: int) -> None:
    """Check that both sides have done the same work: `rows` rows for every request. Raises RuntimeError."""
    wrong = {request.request_id for request in work if len(outcome.rows[request.request_id]) != rows}
    if wrong:
        raise RuntimeError(f"these requests did not run for {rows} rows: {sorted(wrong)}")


class _batch_costs:
    """Returns the seconds that a static batch of a size takes, measured when first asked for."""

    def __init__(self, peer: Peer, prompts: Sequence[np.ndarray], rows: int, known: dict[int, float]) -> None:
        self._peer, self._prompts, self._rows, self._known = peer, prompts, rows, known

    def __call__(self, size: int) -> float:
        if size not in self._known:
            self._known[size] = self._peer.seconds(self._prompts[:size], self._rows)
        return self._known[size]


def _whoever_is_there(arrivals: Sequence[float], cost: Callable[[int], float]) -> float:
    """Return when a server of static batches has served all, if it starts each batch with whoever is there."""
    now, served = 0.0, 0
    while served < len(arrivals):
        now = max(now, arrivals[served])
        present = sum(at <= now for at in arrivals) - served
        now += cost(present)
        served += present
    return now


def _products(config: ModelConfig, batch: int, rounds: int) -> tuple[float, float]:
    """Measure the seconds of a decode step's matrix products alone: with plain weights, and laid out as the engine has
    them.
    """
    hidden, inner, heads = config.hidden_size, config.intermediate_size, config.heads * config.head_dim
    qkv = heads + 2 * config.kv_heads * config.head_dim
    layer = [(qkv, hidden), (hidden, heads), (2 * inner, hidden), (hidden, inner)]
    shapes = layer * config.layers + [(config.num_codebooks * config.codebook_size, hidden)]
    weights = [torch.randn(shape) for shape in shapes]
    packed = [Linear(weight) for weight in weights]
    inputs = [torch.randn(batch, shape[1]) for shape in shapes]

    def plain() -> None:
        for x, weight in zip(inputs, weights, strict=True):
            F.linear(x, weight)

    def laid_out() -> None:
        for x, linear in zip(inputs, packed, strict=True):
            linear(x)

    with torch.inference_mode():
        plain_s, packed_s = median_seconds(plain, laid_out, rounds=rounds)
    return plain_s, packed_s


def _host_ms(slots: int, rows: int, threads: int) -> dict[str, float]:
    """Measure the host's time of steps in which all slots decode, none prefills, and every stream gets a packet."""
    folder = endless_checkpoint("small", SMALL_SIZE)
    books = open_checkpoint(str(folder)).config.num_codebooks
    engine = Ours(folder, slots, threads)
    host: list[float] = []
    for i in range(2):  # the first run warms up
        work = requests(slots, rows, codebooks=books, run=i, paced=True)
        steps = engine.serve(work, [0.0] * slots, step_s=0.04).steps
        host = [1e3 * step.host_s for step in steps if step.streams == slots and not step.prefilled]
    return {"median": statistics.median(host), "p95": float(np.percentile(host, 95))}
