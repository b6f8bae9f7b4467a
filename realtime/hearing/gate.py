"""Decides which windows are worth a look by a detector that costs something."""

from __future__ import annotations

from collections import deque

_SILENT_RMS = 4.0
"""-78 dBFS: below it there is not even a microphone's own noise."""
_CALM_WINDOWS = 16
_CALM_SCORE = 0.1
_LOUDER = 1.26
"""A window opens the gate when it is 2 dB louder than the loudest of the last half second. Stationary noise cannot do
that by itself: its loudness strays by less than 0.5 dB."""


class Gate:
    """Passes the windows in which there may be speech.

    It closes after half a second in which the detector found none, and opens at the first window that is louder than
    that half second was. Speech as loud as the noise under it opens the gate: together they are 3 dB louder.
    """

    def __init__(self) -> None:
        self._calm: deque[float] = deque([_SILENT_RMS] * _CALM_WINDOWS, _CALM_WINDOWS)

    def passes(self, rms: float) -> bool:
        """Tell whether the detector should see a window of loudness `rms` (in units of a 16-bit sample).

        Where it does, `judge` has to follow.
        """
        if len(self._calm) < _CALM_WINDOWS:
            return True
        loudest = max(self._calm)
        if rms > max(_SILENT_RMS, loudest * _LOUDER):
            self._calm.clear()
            return True
        # follows noise that fades, but not noise that rises while the detector does not look
        self._calm.append(min(rms, loudest))
        return False

    def judge(self, rms: float, score: float) -> None:
        """Take the score that the detector gave to a window that passed."""
        if score < _CALM_SCORE:
            self._calm.append(rms)
        else:
            self._calm.clear()
