"""Defines what a session needs of hearing: streams that take audio and tell how likely speech is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from realtime.hearing.detector import Detectors, SpeechDetector

Heard = Callable[[tuple[float, ...]], None]
"""Takes the scores of a stream's next windows, in order, in the event loop, without waiting; never raises."""


class Stream(Protocol):
    """Takes what one listener says, until it is closed."""

    def push(self, pcm: bytes) -> None:
        """Take more 24 kHz 16-bit mono PCM: whole samples, in pieces of any size.

        Each window of `windows.WINDOW_SAMPLES` that became whole gets exactly one score, now or later.
        """

    def close(self) -> None:
        """End the stream: no more scores come. May be called twice."""


class Hearing(Protocol):
    """Opens streams whose audio is scored for speech."""

    @property
    def name(self) -> str:
        """Return the name by which clients are told what listens to them; empty while nothing does."""

    async def run(self) -> None:
        """Keep running what the hearing needs, until cancelled."""

    async def named(self) -> None:
        """Wait until the name is known, or will not be soon. `run` must be running."""

    def open(self, heard: Heard) -> Stream:
        """Open a stream whose scores go to `heard`."""


class InlineHearing:
    """Scores audio where it comes in, with the same promises as the process that hears: for tests and tools."""

    def __init__(self) -> None:
        self._detectors = Detectors()

    @property
    def name(self) -> str:
        """Return the name of the detectors. The first call opens one."""
        return self._detectors.name

    async def run(self) -> None:
        """Return at once: nothing needs to be kept running."""

    async def named(self) -> None:
        """Return at once: the name is always known."""

    def open(self, heard: Heard) -> Stream:
        """Open a stream whose scores go to `heard` before `push` returns."""
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
