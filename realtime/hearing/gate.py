"""Which windows are worth a look by a detector that costs something."""

from __future__ import annotations

from collections import deque

_SILENT_RMS = 4.0
"""-78 dBFS: below it there is not even a microphone's own noise."""
_CALM_WINDOWS = 16
_CALM_SCORE = 0.1
_LOUDER = 1.26
"""2 dB above the loudest of half a second of stationary noise; its own loudness strays by less than 0.5 dB."""


class Gate:
    """Closed after half a second in which the detector found no speech; opened by the first window that is louder than
    that was. Speech as loud as the noise under it opens the gate: together they are 3 dB louder."""

    def __init__(self) -> None:
        self._calm: deque[float] = deque([_SILENT_RMS] * _CALM_WINDOWS, _CALM_WINDOWS)

    def passes(self, rms: float) -> bool:
        """Whether the detector should see this window; then `judge` must follow."""
        if len(self._calm) < _CALM_WINDOWS:
            return True
        loudest = max(self._calm)
        if rms > max(_SILENT_RMS, loudest * _LOUDER):
            self._calm.clear()
            return True
        self._calm.append(min(rms, loudest))  # follows noise that fades, and not one that rises unseen
        return False

    def judge(self, rms: float, score: float) -> None:
        """What the detector found in a window that passed."""
        if score < _CALM_SCORE:
            self._calm.append(rms)
        else:
            self._calm.clear()
