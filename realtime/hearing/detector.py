"""Detectors of speech: what one is, which one there is here, and a few kept ready.

A detector takes one listener's stream of 24 kHz PCM and gives a score from 0 to 1 for each window of 32 ms.
"""

from __future__ import annotations

import logging
from typing import Protocol

from realtime.hearing.energy import EnergyDetector

log = logging.getLogger("voiced.hearing")

_KEPT = 32


class SpeechDetector(Protocol):
    """Of one stream at a time."""

    @property
    def name(self) -> str:
        """What clients are told that listens to them."""

    def push(self, pcm24k: bytes) -> tuple[float, ...]:
        """Take more 16-bit mono PCM, in pieces of any size; one score for each window of `windows.WINDOW_SAMPLES` that
        became whole with it. ValueError for half a sample."""

    def reset(self) -> None:
        """Start anew, for another stream."""


def open_detector() -> SpeechDetector:
    """The best detector there is here: Silero VAD, or else loudness. Never raises."""
    try:
        from realtime.hearing.silero import SileroDetector

        return SileroDetector()
    except Exception as error:  # a missing package or a library that does not load: speech is found in another way
        log.warning("Silero VAD does not run (%s): speech is told from silence by its loudness alone", error)
        return EnergyDetector()


class Detectors:
    """Detectors that nobody uses wait here for the next listener: one holds about 2.5 MB and takes 5 ms to open."""

    def __init__(self) -> None:
        self._free: list[SpeechDetector] = []
        self._name = ""

    @property
    def name(self) -> str:
        """The name of the detectors here; the first to ask waits until one is open."""
        if not self._name:
            self.give_back(self.take())
        return self._name

    def take(self) -> SpeechDetector:
        """One that has heard nothing yet."""
        detector = self._free.pop() if self._free else open_detector()
        self._name = detector.name
        return detector

    def give_back(self, detector: SpeechDetector) -> None:
        """Its listener is gone. At most 32 are kept."""
        if len(self._free) < _KEPT:
            detector.reset()
            self._free.append(detector)
