"""Input audio cut into the windows that are scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_SAMPLES = 768
"""A score is of 32 ms at 24 kHz: 512 samples at 16 kHz, the window Silero VAD is made for."""

WINDOW_BYTES = 2 * WINDOW_SAMPLES


class Windows:
    """A stream of 24 kHz 16-bit mono PCM in whole windows; what is left over waits for more."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, pcm: bytes) -> list[NDArray[np.int16]]:
        """The windows [768] that are whole now. ValueError for half a sample."""
        if len(pcm) % 2:
            raise ValueError("PCM must be whole 16-bit samples of 2 bytes")
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % WINDOW_BYTES
        self._rest = pcm[whole:]
        return list(np.frombuffer(pcm[:whole], dtype="<i2").reshape(-1, WINDOW_SAMPLES))
