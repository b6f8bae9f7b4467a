"""Cuts input audio into the windows that are scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_SAMPLES = 768
"""A window is 32 ms at 24 kHz. That is 512 samples at 16 kHz, the window that Silero VAD is made for."""

WINDOW_BYTES = 2 * WINDOW_SAMPLES


class Windows:
    """Cuts a stream of 24 kHz 16-bit mono PCM into whole windows. Samples that fill none wait for more."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, pcm: bytes) -> list[NDArray[np.int16]]:
        """Return the windows [768] (int16) that `pcm` completes. Raises ValueError for half a sample."""
        if len(pcm) % 2:
            raise ValueError("PCM must be whole 16-bit samples of 2 bytes")
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % WINDOW_BYTES
        self._rest = pcm[whole:]
        return list(np.frombuffer(pcm[:whole], dtype="<i2").reshape(-1, WINDOW_SAMPLES))
