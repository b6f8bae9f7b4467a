"""What a session needs of whoever hears: streams that take audio and tell how likely speech is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from realtime.hearing.detector import Detectors, SpeechDetector

Heard = Callable[[tuple[float, ...]], None]
"""Takes the scores of a stream's next windows, in order, in the event loop, without waiting; never raises."""


class Stream(Protocol):
    """What one listener says, until it is closed."""

    def push(self, pcm: bytes) -> None:
        """More 24 kHz 16-bit mono PCM, whole samples in pieces of any size. Each window of `windows.WINDOW_SAMPLES`
        that became whole gets exactly one score, now or later."""

    def close(self) -> None:
        """Nobody wants to know any more; no more scores come. May be called twice."""


class Hearing(Protocol):
    """Whoever hears."""

    @property
    def name(self) -> str:
        """What clients are told that listens to them; empty while nothing does."""

    async def run(self) -> None:
        """Keep running what it needs, until cancelled."""

    async def named(self) -> None:
        """Until the name is known, or will not be soon. `run` must be running."""

    def open(self, heard: Heard) -> Stream:
        """A new stream, whose scores go to `heard`."""


class InlineHearing:
    """Detectors asked where the audio comes in, with the same promises as the process: for tests and tools."""

    def __init__(self) -> None:
        self._detectors = Detectors()

    @property
    def name(self) -> str:
        """The name of the detectors; the first to ask waits until one is open."""
        return self._detectors.name

    async def run(self) -> None:
        """Nothing needs to be kept running."""

    async def named(self) -> None:
        """Nobody needs to wait."""

    def open(self, heard: Heard) -> Stream:
        """A stream whose scores come before `push` returns."""
        return _InlineStream(self._detectors, heard)


class _InlineStream:
    def __init__(self, detectors: Detectors, heard: Heard) -> None:
        self._detectors = detectors
        self._heard = heard
        self._detector: SpeechDetector | None = detectors.take()

    def push(self, pcm: bytes) -> None:
        if self._detector is not None and (scores := self._detector.push(pcm)):
            self._heard(scores)

    def close(self) -> None:
        if self._detector is not None:
            self._detectors.give_back(self._detector)
        self._detector = None
