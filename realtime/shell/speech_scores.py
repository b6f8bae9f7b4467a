"""Tells how likely speech is in what the user says, with a detector that is borrowed while anybody wants to know."""

from __future__ import annotations

from realtime.hearing.detector import Detectors, SpeechDetector


class SpeechScores:
    """Of one session."""

    def __init__(self, detectors: Detectors | None) -> None:
        self._detectors = detectors
        self._detector: SpeechDetector | None = None

    def scores(self, pcm: bytes) -> tuple[float, ...]:
        """Of the windows that became whole with this 24 kHz PCM; none without a detector."""
        if self._detectors is None or len(pcm) % 2:
            return ()
        if self._detector is None:
            self._detector = self._detectors.take()
        return self._detector.push(pcm)

    def rest(self) -> None:
        """Nobody wants to know any more: the detector is given back, and the next one starts anew."""
        if self._detectors is not None and self._detector is not None:
            self._detectors.give_back(self._detector)
        self._detector = None
