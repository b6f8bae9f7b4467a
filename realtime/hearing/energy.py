"""Finds speech by loudness alone, where nothing better is installed. Music and a slammed door are speech to it too."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from realtime.hearing.windows import WINDOW_SAMPLES, Windows

_BAND = slice(10, 110)
"""The bins of 31.25 Hz from 300 to 3400 Hz hold most of a voice and none of the mains hum."""
_QUIETEST_DB = -65.0
_FLOOR_AT_FIRST_DB = -45.0
_FLOOR_WINDOWS = 64
"""The noise floor is the quietest window of the last 2 s: there is one between the syllables of any sentence."""
_SURE_DB, _DOUBTFUL_DB = 16.0, 4.0
_MEAN_WINDOWS = 4
"""A score is the mean of this many windows, so that a click of one window stays below a half, and a stop consonant
within a word does not pull the score down to silence."""


class EnergyDetector:
    """Scores one listener's audio by loudness: from 0 at 4 dB above the noise floor to 1 at 16 dB above it."""

    name = "energy"

    def __init__(self) -> None:
        self._taper = np.hanning(WINDOW_SAMPLES).astype(np.float32)
        self.reset()

    def push(self, pcm24k: bytes) -> tuple[float, ...]:
        """Return a score for each window of 768 samples that `pcm24k` completes. Raises ValueError for half a
        sample.
        """
        return tuple(map(self._score, self._windows.push(pcm24k)))

    def reset(self) -> None:
        """Forget all audio so far, for another stream."""
        self._windows = Windows()
        self._levels: deque[float] = deque([_FLOOR_AT_FIRST_DB], _FLOOR_WINDOWS)
        self._recent: deque[float] = deque([0.0] * _MEAN_WINDOWS, _MEAN_WINDOWS)

    def _score(self, window: NDArray[np.int16]) -> float:
        spectrum = np.abs(np.fft.rfft(window * self._taper)[_BAND]) / (32768.0 * WINDOW_SAMPLES / 4)
        level = max(_QUIETEST_DB, 10 * float(np.log10(np.sum(spectrum**2) + 1e-12)))
        self._levels.append(level)
        above = level - min(self._levels)
        self._recent.append(min(1.0, max(0.0, (above - _DOUBTFUL_DB) / (_SURE_DB - _DOUBTFUL_DB))))
        return sum(self._recent) / _MEAN_WINDOWS
