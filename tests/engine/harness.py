"""Scope: an engine stepped by hand under a fake clock, and all that came out of it, checked on the way."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from realtime.engine.engine import Engine
from realtime.engine.load import load_engine
from realtime.engine.messages import Audio, EngineConfig, EngineInfo
from realtime.request import Clip, Ended, Reference, RegisteredClip, Sampling, Speak, Used, Voicing

GREEDY = Sampling(greedy=True)
SMART = Voicing()
"""A voice that the model picks."""


def no_front_end(_name: str) -> Callable[[str], str]:
    return str


def load(folder: Path, front_end: Callable[[str], str] = str, **options: Any) -> tuple[Engine, EngineInfo]:
    settings: dict[str, Any] = {"slots": 8, "threads": 1, "admit_by_rate": False, **options}
    return load_engine(EngineConfig(str(folder), **settings), lambda name: front_end, lambda stage: None)


class Stage:
    """Plays gateway and clock for one engine.

    Every event is checked as it comes: audio without gaps or overlaps, nothing after the one `Ended`. Rows are
    collected where the engine ends a request, since they never leave it.
    """

    def __init__(self, engine: Engine, step_s: float = 0.01) -> None:
        self.engine = engine
        self.now = 100.0
        self.steps = 0
        self.rows: dict[str, np.ndarray] = {}
        self.ended: dict[str, Ended] = {}
        self.first_audio_step: dict[str, int] = {}
        self._pcm: dict[str, list[np.ndarray]] = {}
        self._samples: dict[str, int] = {}
        self._used: dict[str, Used] = {}
        self._live: set[str] = set()
        self._step_s = step_s

        def keep(request_id: str, rows: list[np.ndarray]) -> None:
            self.rows[request_id] = np.stack(rows) if rows else np.zeros((0, 8), dtype=np.int64)

        engine.row_tap = keep

    def submit(self, request: Speak) -> None:
        assert request.request_id not in self._live
        for kept in (self.rows, self.ended, self.first_audio_step):
            kept.pop(request.request_id, None)  # type: ignore[attr-defined]
        self._live.add(request.request_id)
        self._pcm[request.request_id] = []
        self._samples[request.request_id] = 0
        self.engine.submit(request, self.now)

    def step(self) -> None:
        self.steps += 1
        self.now += self._step_s
        for event in self.engine.step(self.now).events:
            assert event.request_id in self._live, f"an event after the end: {event}"
            if isinstance(event, Audio):
                samples = np.frombuffer(event.pcm, dtype="<i2")
                assert event.position == self._samples[event.request_id], "a gap or an overlap in the audio"
                self._samples[event.request_id] += len(samples)
                self._pcm[event.request_id].append(samples)
                self.first_audio_step.setdefault(event.request_id, self.steps)
                self._used[event.request_id] = event.used
            else:
                used = Used(event.prompt_positions, event.audio_positions, event.cached_positions, event.frames)
                assert self._used.pop(event.request_id, used) == used, "the last audio tells another use than the end"
                assert event.samples == self._samples[event.request_id] or event.reason != "stop"
                self._live.remove(event.request_id)
                self.ended[event.request_id] = event

    def drain(self, limit: int = 4000) -> None:
        """Until nothing is left to do."""
        for _ in range(limit):
            if self.engine.wake_at(self.now) is None:
                assert not self._live, f"never ended: {self._live}"
                return
            self.step()
            if self.engine._waiting:
                time.sleep(0.005)  # clips are encoded in real time, whatever our clock says
        raise AssertionError(f"still running after {limit} steps: {self._live}")

    def speak(self, *requests: Speak) -> None:
        """Submit all and run to the end."""
        for request in requests:
            self.submit(request)
        self.drain()

    def pcm(self, request_id: str) -> np.ndarray:
        parts = self._pcm[request_id]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)

    def assert_idle(self) -> None:
        """Everything was given back."""
        gauges = self.engine.gauges()
        assert (gauges.requests, gauges.slots, gauges.pages_held) == (0, 0, 0)


def clip(seed: int, seconds: float = 0.6) -> Clip:
    """A reference clip: two tones and some noise."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * 24000)) / 24000
    tones = np.sin(2 * np.pi * random.uniform(100, 400, (2, 1)) * time).sum(0)
    samples = 0.2 * tones + 0.05 * random.standard_normal(len(time))
    return Clip((samples * 32767).astype("<i2").tobytes())


def samples_of(part: Clip) -> np.ndarray:
    return np.frombuffer(part.pcm, dtype="<i2").astype(np.float32) / 32768.0


def cloned(clip: Clip | RegisteredClip, transcript: str = "This is how I sound.", **more: Any) -> Voicing:
    """A voice that is cloned from a clip."""
    return Voicing(references=[Reference(transcript, clip)], **more)


def assert_same_rows(got: np.ndarray, want: np.ndarray, what: str) -> None:
    same = min(len(got), len(want))
    differ = np.flatnonzero((got[:same] != want[:same]).any(1))
    assert len(differ) == 0, f"{what}: row {differ[0]} of {len(got)} differs: {got[differ[0]]} != {want[differ[0]]}"
    assert len(got) == len(want), f"{what}: {len(got)} rows, expected {len(want)}"


def unique(rows: Iterable[np.ndarray]) -> int:
    return len({row.tobytes() for row in rows})
