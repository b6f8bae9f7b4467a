"""Converts decoded audio to PCM16, the format of all audio in the service. Pure."""

import numpy as np
from numpy.typing import NDArray


def to_pcm16(audio: NDArray[np.floating]) -> bytes:
    """Convert audio [samples], full scale 1, to PCM16 little endian, rounded to the nearest step, clipped and never
    wrapped.

    Raises ValueError for NaN, which has no level: the stream it came from is broken and should end as failed.
    """
    if np.isnan(audio).any():
        raise ValueError("the audio holds NaN samples")
    steps: NDArray[np.int16] = np.clip(np.rint(audio * 32767.0), -32768, 32767).astype("<i2")
    return steps.tobytes()
