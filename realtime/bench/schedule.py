"""Simulates the real Scheduler against first-come-first-served, in virtual time and without torch (`voiced bench
schedule`).

Both serve the same trace: Poisson arrivals of utterances with the same prompts and lengths, on the same machine, a step
cost of a + b per stream, c per prompt position, and for each codec call d + e per frame decoded. In low-latency mode
with 4 frames of look-ahead every stream in a call adds 1.1 frames of provisional columns when the codec is the released
one, and none when it was trained causally. The rules of the engine hold for both: a prompt is prefilled in parts, frame
t is complete 8 rows after its first, a step's audio goes out when the step ends, prompts of a step come before its
rows.

First-come-first-served: slots in order of arrival, a queue without end, every running stream stepped each step, codec
chunks of a fixed 4 frames. Ours: `realtime.engine.scheduler.Scheduler` as the engine drives it.

Load 100 % is the rate of arrivals that keeps the machine busy all the time at its best: all slots stepping, chunks of 4
frames. Refused utterances are counted as refused and nowhere else; the others are in the percentiles.
"""

from __future__ import annotations

import argparse
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from realtime.bench.report import Table, add_common_arguments, environment, progress
from realtime.engine.errors import Overloaded
from realtime.engine.kv_pages import PagePool
from realtime.engine.scheduler import CHUNK_SIZES, Phase, Playout, Policy, Scheduler, Stream

NAME = "schedule"
HELP = "scheduling by playout against first-come-first-served, simulated"

_BOOKS = 8
_FRAME_S = 0.04
_FIXED_CHUNK = 4
_GAP_S = 0.1
_LOADS = (50, 80, 95, 120)


@dataclass(frozen=True)
class Machine:
    """Describes a machine: its slots, and what a step costs in milliseconds."""

    name: str
    slots: int
    step_ms: float
    stream_ms: float
    position_ms: float
    codec_call_ms: float
    codec_frame_ms: float
    provisional_frames: float  # per stream and codec call
    prefill_positions: int  # most per step, for both schedulers

    def step_s(self, streams: int, positions: int, codec_calls: Iterable[float]) -> float:
        """Return the seconds of a step; `codec_calls` lists the frames that each call decodes, provisional ones
        included.
        """
        ms = self.position_ms * positions
        if streams:
            ms += self.step_ms + self.stream_ms * streams
        for frames in codec_calls:
            ms += self.codec_call_ms + self.codec_frame_ms * frames
        return ms / 1e3

    def utterance_s(self, frames: float, prompt: float) -> float:
        """Return the machine time of one utterance when everything is full: its share of the steps and calls it takes
        part in.
        """
        rows = (frames + _BOOKS) * (self.step_ms / self.slots + self.stream_ms)
        decoded = 1 + self.provisional_frames / _FIXED_CHUNK
        audio = frames * (self.codec_call_ms / _FIXED_CHUNK / self.slots + self.codec_frame_ms * decoded)
        return (rows + audio + prompt * self.position_ms) / 1e3


MACHINES = (
    # two cores and a small checkpoint: a full batch is slower than real time
    Machine("CPU-like, causal codec", 32, 6.0, 0.5, 0.15, 4.0, 0.8, 0.0, 128),
    Machine("CPU-like, released codec", 32, 6.0, 0.5, 0.15, 4.0, 0.5, 1.1, 128),
    # 1.3 ms of weights, 7 ms of KV for 256 streams, 0.27 GMAC of codec per frame
    Machine("H200-like, released codec", 1024, 1.5, 0.027, 0.004, 1.0, 0.01, 1.1, 1024),
)


@dataclass
class Utterance:
    """Follows one arrival, and what became of it."""

    name: str
    at: float
    frames: int
    prompt: int
    refused: bool = False
    prefilled: int = 0
    rows: int = 0
    decoded: int = 0
    first_audio_s: float | None = None
    worst_gap_s: float = 0.0
    listener: Playout | None = None

    @property
    def rows_wanted(self) -> int:
        """Return how many rows have to be drawn until all frames are complete."""
        return self.frames + _BOOKS

    @property
    def pending(self) -> int:
        """Return how many complete frames are not decoded yet."""
        return max(0, min(self.frames, self.rows + 1 - _BOOKS)) - self.decoded

    def hear(self, frames: int, now: float) -> None:
        """Give audio to the listener, who plays from the first on."""
        if self.listener is None:
            self.first_audio_s = now - self.at
            self.listener = Playout(0.0, now)
        self.worst_gap_s = max(self.worst_gap_s, self.listener.deliver(frames * _FRAME_S, now))


@dataclass
class Work:
    """Holds what a scheduler chose for a step: how many prompt positions, and which utterances get a row."""

    positions: int = 0
    decode: list[Utterance] = field(default_factory=list)


class Served(Protocol):
    """Schedules utterances in one way."""

    def arrive(self, utterance: Utterance, now: float) -> None: ...
    def plan(self, now: float) -> Work: ...
    def chunks(self, now: float) -> list[tuple[Utterance, int]]: ...
    def finished(self, utterance: Utterance) -> None: ...
    def published(self, utterance: Utterance, frames: int, started: float) -> None: ...
    def measured(self, streams: int, seconds: float) -> None: ...
    def wake_at(self, now: float) -> float | None: ...


class FirstComeFirstServed:
    """Gives slots in order of arrival, and steps every utterance that has one in every step."""

    def __init__(self, machine: Machine) -> None:
        self._slots = machine.slots
        self._prefill_positions = machine.prefill_positions
        self._queue: deque[Utterance] = deque()
        self._running: list[Utterance] = []

    def arrive(self, utterance: Utterance, now: float) -> None:
        self._queue.append(utterance)

    def plan(self, now: float) -> Work:
        while self._queue and len(self._running) < self._slots:
            self._running.append(self._queue.popleft())
        budget = self._prefill_positions
        for utterance in self._running:
            count = min(budget, utterance.prompt - utterance.prefilled)
            utterance.prefilled += count
            budget -= count
        ready = [u for u in self._running if u.prefilled == u.prompt and u.rows < u.rows_wanted]
        return Work(self._prefill_positions - budget, ready)

    def chunks(self, now: float) -> list[tuple[Utterance, int]]:
        due = []
        for utterance in self._running:
            final = utterance.rows == utterance.rows_wanted
            if utterance.pending >= _FIXED_CHUNK or (final and utterance.pending):
                due.append((utterance, min(utterance.pending, _FIXED_CHUNK)))
        return due

    def finished(self, utterance: Utterance) -> None:
        self._running.remove(utterance)

    def published(self, utterance: Utterance, frames: int, started: float) -> None:
        pass

    def measured(self, streams: int, seconds: float) -> None:
        pass

    def wake_at(self, now: float) -> float | None:
        return now if self._queue or self._running else None


class ByPlayout:
    """Drives our Scheduler as the engine drives it."""

    def __init__(self, machine: Machine, policy: Policy) -> None:
        page = 16
        self._scheduler = Scheduler(policy, PagePool(machine.slots * 64, page))
        self._of: dict[str, tuple[Utterance, Stream]] = {}

    def arrive(self, utterance: Utterance, now: float) -> None:
        try:
            stream = self._scheduler.admit(
                utterance.name, [], utterance.prompt, utterance.rows_wanted, lead_s=0.0, paced=True, now=now
            )
        except Overloaded:
            utterance.refused = True
            return
        self._of[utterance.name] = (utterance, stream)

    def plan(self, now: float) -> Work:
        plan = self._scheduler.plan(now)
        return Work(sum(span.count for span in plan.prefill), [self._of[name][0] for name in plan.decode])

    def chunks(self, now: float) -> list[tuple[Utterance, int]]:
        due = []
        for utterance, stream in self._of.values():
            if utterance.rows == utterance.rows_wanted and stream.phase is Phase.DECODE:
                stream.enter(Phase.FLUSH)
            flushing = stream.phase is Phase.FLUSH
            if not utterance.pending:
                continue
            size = CHUNK_SIZES[-1] if flushing else self._scheduler.chunk_frames(stream, now)
            if flushing or utterance.pending >= size:
                due.append((utterance, min(size, utterance.pending)))
        return due

    def finished(self, utterance: Utterance) -> None:
        _, stream = self._of.pop(utterance.name)
        self._scheduler.release(stream)

    def published(self, utterance: Utterance, frames: int, started: float) -> None:
        self._scheduler.delivered(self._of[utterance.name][1], frames * _FRAME_S, started)

    def measured(self, streams: int, seconds: float) -> None:
        self._scheduler.cost.observe(streams, seconds)

    def wake_at(self, now: float) -> float | None:
        return self._scheduler.wake_at(now)


def arrivals(machine: Machine, load_percent: float, seconds: float, seed: int) -> list[Utterance]:
    """Draw Poisson arrivals of clauses: 1 to 12 s of speech (median 3.5 s), prompts of 20 to 120 positions."""
    rng = random.Random(seed)

    def draw() -> tuple[int, int]:
        frames = round(min(12.0, max(1.0, rng.lognormvariate(1.25, 0.55))) / _FRAME_S)
        return frames, rng.randint(20, 120)

    sample = [draw() for _ in range(4000)]
    mean_frames, mean_prompt = (sum(column) / len(sample) for column in zip(*sample, strict=True))
    rate = load_percent / 100 / machine.utterance_s(mean_frames, mean_prompt)
    out: list[Utterance] = []
    at = 0.0
    while True:
        at += rng.expovariate(rate)
        if at > seconds:
            return out
        out.append(Utterance(f"u{len(out)}", at, *draw()))


def simulate(machine: Machine, trace: list[Utterance], served: Served) -> None:
    """Run a trace to its end; the outcome is in its utterances."""
    now, coming = 0.0, deque(trace)
    while True:
        while coming and coming[0].at <= now:
            utterance = coming.popleft()
            served.arrive(utterance, now)
        wake_at = served.wake_at(now)
        if wake_at is None or wake_at > now:
            times = [t for t in (wake_at, coming[0].at if coming else None) if t is not None]
            if not times:
                return
            now = max(now, min(times))
            continue
        work = served.plan(now)
        for utterance in work.decode:
            utterance.rows += 1
        due = served.chunks(now)
        calls: dict[int, float] = {}
        for _, frames in due:
            calls[frames] = calls.get(frames, 0.0) + frames + machine.provisional_frames
        took = machine.step_s(len(work.decode), work.positions, calls.values())
        if took == 0.0:  # nothing was due after all
            took = 1e-3
        for utterance, frames in due:
            utterance.decoded += frames
            utterance.hear(frames, now + took)
            served.published(utterance, frames, now)
            if utterance.decoded == utterance.frames:
                served.finished(utterance)
        if work.decode:
            served.measured(len(work.decode), took)
        now += took


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--seconds", type=float, default=0.0, help="length of the traces; 0: by machine")
    parser.add_argument("--seed", type=int, default=0, help="of the traces")
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Simulate everything, and return the result; README.md explains the keys."""
    rows = []
    for machine in MACHINES[: 1 if args.quick else None]:
        seconds = args.seconds or (10.0 if args.quick else 300.0 if machine.slots < 100 else 20.0)
        for load in _LOADS:
            progress(f"{machine.name} at {load} %")
            policy = policy_for(machine)
            for name, served in (
                ("first come, first served", FirstComeFirstServed(machine)),
                ("by playout", ByPlayout(machine, policy)),
            ):
                trace = arrivals(machine, load, seconds, args.seed)
                simulate(machine, trace, served)
                rows.append({"machine": machine.name, "load_percent": load, "scheduler": name, **_outcome(trace)})
    return {"benchmark": NAME, "quick": args.quick, "environment": environment(), "seed": args.seed, "runs": rows}


def policy_for(machine: Machine) -> Policy:
    """Return the engine's policy for a machine."""
    return Policy(
        slots=machine.slots,
        step_streams=machine.slots,
        prefill_positions=machine.prefill_positions,
        frame_s=_FRAME_S,
    )


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the result for people."""
    columns = ("load %", "scheduler", "first audio p50 ms", "p95 ms", "gap > 100 ms %", "refused %", "utterances")
    keys = ("load_percent", "scheduler", "first_audio_p50_ms", "first_audio_p95_ms", "gap_percent", "refused_percent")
    names = list(dict.fromkeys(row["machine"] for row in result["runs"]))
    return [
        Table(
            f"schedule: {name}, simulated",
            columns,
            [[*(row[key] for key in keys), row["utterances"]] for row in result["runs"] if row["machine"] == name],
        )
        for name in names
    ]


def _outcome(trace: list[Utterance]) -> dict[str, float | int | None]:
    heard = [u for u in trace if not u.refused]
    waits = sorted(u.first_audio_s for u in heard if u.first_audio_s is not None)
    assert len(waits) == len(heard) and all(u.decoded == u.frames for u in heard), "a voice was left unfinished"
    gaps = sum(u.worst_gap_s > _GAP_S for u in heard)
    return {
        "first_audio_p50_ms": _quantile(waits, 0.5),
        "first_audio_p95_ms": _quantile(waits, 0.95),
        "gap_percent": 100 * gaps / max(1, len(heard)),
        "refused_percent": 100 * (len(trace) - len(heard)) / max(1, len(trace)),
        "utterances": len(trace),
    }


def _quantile(ordered: list[float], share: float) -> float | None:
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
