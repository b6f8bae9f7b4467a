"""Defines detectors of speech, opens the best one there is, and keeps a few ready.

A detector takes one listener's stream of 24 kHz PCM and gives a score from 0 to 1 for each window of 32 ms.
"""

from __future__ import annotations

import logging
from typing import Protocol

from realtime.hearing.energy import EnergyDetector

log = logging.getLogger("voiced.hearing")

_KEPT = 32


class SpeechDetector(Protocol):
    """Scores how likely speech is in one stream of audio at a time."""

    @property
    def name(self) -> str:
        """Return the name by which clients are told what listens to them."""

    def push(self, pcm24k: bytes) -> tuple[float, ...]:
        """Take more 16-bit mono PCM at 24 kHz, in pieces of any size, and return the scores that it completes.

        There is one score, from 0 to 1, for each window of `windows.WINDOW_SAMPLES` that became whole. Raises
        ValueError for half a sample.
        """

    def reset(self) -> None:
        """Forget all audio so far, for another stream."""


def open_detector() -> SpeechDetector:
    """Open the best detector that runs here: Silero VAD, or else one by loudness. Never raises."""
    try:
        from realtime.hearing.silero import SileroDetector

        return SileroDetector()
    except Exception as error:  # a missing package, or a library that does not load in ways of its own
        log.warning("Silero VAD does not run (%s): speech is told from silence by its loudness alone", error)
        return EnergyDetector()


class Detectors:
    """Keeps detectors that nobody uses for the next listener: one holds about 2.5 MB and takes 5 ms to open."""

    def __init__(self) -> None:
        self._free: list[SpeechDetector] = []
        self._name = ""

    @property
    def name(self) -> str:
        """Return the name of the detectors. The first call opens one."""
        if not self._name:
            self.give_back(self.take())
        return self._name

    def take(self) -> SpeechDetector:
        """Return a detector that has heard nothing yet, opening one if none is free."""
        detector = self._free.pop() if self._free else open_detector()
        self._name = detector.name
        return detector

    def give_back(self, detector: SpeechDetector) -> None:
        """Take a detector back whose listener is gone. At most 32 are kept."""
        if len(self._free) < _KEPT:
            detector.reset()
            self._free.append(detector)
