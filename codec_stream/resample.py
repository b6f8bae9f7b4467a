"""Scope: sample-rate conversion of mono float32 audio, in one piece or as a stream (soxr, quality HQ).

Both forms give the same samples, whatever the chunks. Positions are not shifted: output sample i lies at i / to_rate.
The stream's output lags, because soxr filters in blocks. Fed 10 ms at a time, it is at most 40 ms behind between 24 kHz
and 16 to 48 kHz, and 75 ms between 24 and 8 kHz. The rest comes with `flush`.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

_QUALITY = "HQ"


def resample(pcm: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """pcm [samples at from_rate], mono -> [samples at to_rate]. ValueError when it is not mono float audio."""
    pcm = _mono_float32(pcm)
    if from_rate == to_rate:
        return pcm.copy()
    resampled: NDArray[np.float32] = soxr.resample(pcm, from_rate, to_rate, quality=_QUALITY)
    return resampled


class StreamResampler:
    """One audio stream, chunk by chunk; what push and flush return, joined, equals `resample` of the whole."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._stream = None if from_rate == to_rate else soxr.ResampleStream(from_rate, to_rate, 1, quality=_QUALITY)
        self._flushed = False

    def push(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes the next chunk [samples at from_rate] and returns what is ready [samples at to_rate], maybe nothing.

        ValueError after flush, or when the chunk is not mono float audio.
        """
        return self._step(pcm, last=False)

    def flush(self) -> NDArray[np.float32]:
        """Ends the stream and returns the rest of its samples. ValueError when called twice."""
        return self._step(np.zeros(0, dtype=np.float32), last=True)

    def _step(self, pcm: NDArray[np.float32], last: bool) -> NDArray[np.float32]:
        if self._flushed:
            raise ValueError("the resampler was flushed; start a new one for new audio")
        self._flushed = last
        pcm = _mono_float32(pcm)
        if self._stream is None:
            return pcm.copy()
        resampled: NDArray[np.float32] = self._stream.resample_chunk(pcm, last=last)
        return resampled


def _mono_float32(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    if pcm.ndim != 1 or pcm.dtype.kind != "f":
        raise ValueError(f"expected mono float audio [samples], got {pcm.dtype} with shape {pcm.shape}")
    return np.ascontiguousarray(pcm, dtype=np.float32)
