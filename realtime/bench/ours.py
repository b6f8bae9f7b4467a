"""Times the engine: requests by an arrival trace, and how long each step's parts took.

The clock is virtual: it advances by the time a step took and, when there is nothing to do, jumps to the next arrival.
So a trace costs no waiting, and transformers' side can be counted by the same clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from realtime.engine.engine import Engine
from realtime.engine.load import load_engine
from realtime.engine.messages import EngineConfig
from realtime.request import Ended, Sampling, Speak, Voicing

_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
]


@dataclass
class Step:
    """Records one engine step: how many streams were decoded, whether prompts were prefilled, and the seconds of its
    parts.
    """

    streams: int
    prefilled: bool
    whole_s: float
    decode_s: float
    prefill_s: float
    codec_s: float

    @property
    def host_s(self) -> float:
        """Return the seconds of all that is neither the model nor the codec: scheduling, bookkeeping, delay,
        publishing.
        """
        return self.whole_s - self.decode_s - self.prefill_s - self.codec_s


@dataclass
class Outcome:
    """Holds what a trace gave: its steps, the virtual time at which the last request ended, and every request's
    rows.
    """

    steps: list[Step]
    took_s: float
    rows: dict[str, np.ndarray] = field(default_factory=dict)  # [rows, K] by request


class Ours:
    """Runs one loaded engine."""

    def __init__(self, folder: Path, slots: int, threads: int) -> None:
        config = EngineConfig(str(folder), device="cpu", slots=slots, threads=threads, admit_by_rate=False)
        self._engine, self.info = load_engine(config, _no_front_end, lambda stage: None)
        # the engine does not time its parts: they are timed from outside, by wrapping the calls on this one engine
        runner, decoder = self._engine._runner, self._engine._decoder
        self._decode = _timed(runner, "decode")
        self._prefill = _timed(runner, "prefill")
        self._codec = _timed(decoder, "decode")
        self._rows: dict[str, np.ndarray] = {}
        _keep_rows(self._engine, self._rows)

    def prompt(self, request: Speak) -> np.ndarray:
        """Return the text ids of a request's prompt, [N]."""
        prompts = self._engine._prompts
        return prompts.prompt(request.voicing, [], request.text, lambda part: np.zeros((0, 8)))[:, 0]

    def serve(self, requests: Sequence[Speak], arrivals: Sequence[float], step_s: float | None = None) -> Outcome:
        """Run requests that arrive at the given times to their ends. Raises RuntimeError unless all run to their cap.

        Time is what was measured, less the codec's part (transformers' `generate` has none); or `step_s` for each step.
        """
        engine, now = self._engine, 0.0
        steps: list[Step] = []
        coming = list(zip(arrivals, requests, strict=True))
        self._rows.clear()
        while True:
            if engine.wake_at(now) is None and coming:
                now = max(now, coming[0][0])
            while coming and coming[0][0] <= now:
                engine.submit(coming.pop(0)[1], now)
            wake_at = engine.wake_at(now)
            if wake_at is None:
                if not coming:
                    return Outcome(steps, now, dict(self._rows))
                continue
            now = max(now, wake_at)
            step, output = self._step(now)
            steps.append(step)
            now += step.whole_s - step.codec_s if step_s is None else step_s
            for event in output.events:
                if isinstance(event, Ended) and event.reason != "length":
                    raise RuntimeError(f"{event.request_id} ended by {event.reason} ({event.error}), not at its cap")

    def _step(self, now: float) -> tuple[Step, Any]:
        before = self._engine.gauges().rows
        for part in (self._decode, self._prefill, self._codec):
            part[0] = 0.0
        begun = time.perf_counter()
        output = self._engine.step(now)
        whole = time.perf_counter() - begun
        streams = output.gauges.rows - before
        return (
            Step(streams, self._prefill[0] > 0, whole, self._decode[0], self._prefill[0], self._codec[0]),
            output,
        )


def requests(count: int, rows: int, *, codebooks: int, run: int = 0, paced: bool = False) -> list[Speak]:
    """Make `count` different greedy requests of `rows` rows each. Raises ValueError for too few rows.

    The run's number stands at the start of the prompt, so that no page of one run serves another.
    """
    if rows <= codebooks:
        raise ValueError(f"rows is {rows}; an utterance has at least {codebooks + 1}")
    voicing = Voicing(system=f"{run}: generate audio following instruction.")
    return [
        Speak(
            f"run{run}-{index}",
            f"This is sentence number {_NUMBERS[index % len(_NUMBERS)]} of those to be spoken.",
            voicing,
            sampling=Sampling(greedy=True, ras=False),
            max_frames=rows - codebooks,  # the last frame completes that many rows after it
            paced=paced,
        )
        for index in range(count)
    ]


def _no_front_end(_name: str) -> Callable[[str], str]:
    return lambda text: text


def _timed(owner: Any, name: str) -> list[float]:
    """Wrap a method of one object; its seconds add up in the returned cell."""
    spent, method = [0.0], getattr(owner, name)

    def timed(*args: Any) -> Any:
        begun = time.perf_counter()
        try:
            return method(*args)
        finally:
            spent[0] += time.perf_counter() - begun

    setattr(owner, name, timed)
    return spent


def _keep_rows(engine: Engine, kept: dict[str, np.ndarray]) -> None:
    """Copy the rows of each request as it ends, since rows never leave the engine."""

    def keep(request_id: str, rows: list[np.ndarray]) -> None:
        kept[request_id] = np.stack(rows)

    engine.row_tap = keep
