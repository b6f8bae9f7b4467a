"""Converts the sample rate of mono audio: `resample` for a clip at hand, `StreamResampler` for live speech.

Positions are not shifted: output sample i lies at i / to_rate. A clip goes through soxr (quality HQ). A stream cannot:
soxr filters in blocks and keeps 37 to 75 ms of speech back (24 to 16 and to 8 kHz; its quality LQ still 20 to 40 ms,
and QQ lets aliases through). The stream's own filter keeps back 3.1 ms at every pair of rates.
"""

from functools import lru_cache
from math import ceil, gcd

import numpy as np
import soxr
from numpy.typing import NDArray

_CLIP_QUALITY = "HQ"
# The filter passes all but the last 560 Hz below the lower rate's half, and stops from 240 Hz above it: at 8 kHz that
# is 3440 and 4240 Hz. The width of 800 Hz, the same at every rate, and the attenuation set how far the filter reaches.
_TRANSITION_HZ, _CENTRE_BELOW_NYQUIST_HZ = 800.0, 160.0
_ATTENUATION_DB = 80.0
# Taps are whole multiples of 2**-24. The sum of their products with 16-bit samples stays below 2**42: exact in float64
# in whatever order it is added up, so that the output cannot depend on the chunks.
_TAP_SCALE = 2.0**24
_BLOCK = 4096
_FEW_PHASES = 3


def resample(pcm: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Resample pcm [samples at from_rate], mono -> [samples at to_rate]. Raises ValueError when it is not mono float
    audio.
    """
    if pcm.ndim != 1 or pcm.dtype.kind != "f":
        raise ValueError(f"expected mono float audio [samples], got {pcm.dtype} with shape {pcm.shape}")
    pcm = np.ascontiguousarray(pcm, dtype=np.float32)
    if from_rate == to_rate:
        return pcm.copy()
    resampled: NDArray[np.float32] = soxr.resample(pcm, from_rate, to_rate, quality=_CLIP_QUALITY)
    return resampled


class StreamResampler:
    """Resamples one stream of 16-bit audio, chunk by chunk, by a linear-phase polyphase filter (Kaiser window, 80 dB).

    n samples become ceil(n * to_rate / from_rate), the same bit by bit whatever the chunks. What is kept back is less
    than 3.2 ms of speech plus one sample, and comes with `flush`. Between equal rates samples pass untouched.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._up, self._down = to_rate // gcd(from_rate, to_rate), from_rate // gcd(from_rate, to_rate)
        self._bank = None if from_rate == to_rate else _filter_bank(from_rate, to_rate)
        reach = 0 if self._bank is None else self._bank.shape[1] // 2
        # Input from sample `_start` on; before the stream there is silence.
        self._input = np.zeros(max(reach - 1, 0), dtype=np.int16)
        self._start = -len(self._input)
        self._reach = reach
        self._given = 0
        self._flushed = False

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take the next chunk [samples at from_rate] and return what is ready [samples at to_rate], maybe nothing.

        Raises ValueError after `flush`, or when the chunk is not mono int16 audio.
        """
        if self._flushed:
            raise ValueError("the resampler was flushed; start a new one for new audio")
        if pcm.ndim != 1 or pcm.dtype != np.int16:
            raise ValueError(f"expected mono int16 audio [samples], got {pcm.dtype} with shape {pcm.shape}")
        if self._bank is None:
            return pcm.copy()
        return self._filter(self._bank, pcm)

    def flush(self) -> NDArray[np.int16]:
        """End the stream and return the rest of its samples. Raises ValueError when called twice."""
        # The last samples filter against the silence behind the stream.
        rest = self.push(np.zeros(self._reach, dtype=np.int16))
        self._flushed = True
        return rest

    def _filter(self, bank: NDArray[np.float64], pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        self._input = np.concatenate([self._input, pcm])
        # Output i stands `phase` / up behind input sample `at`, and reaches from at - reach + 1 to at + reach.
        end = self._start + len(self._input) - self._reach
        ready = max(ceil(end * self._up / self._down), self._given) if end > 0 else self._given
        if ready == self._given:
            return np.zeros(0, dtype=np.int16)
        scaled = self._by_phase(bank, ready) if self._up <= _FEW_PHASES else self._by_place(bank, ready)
        self._given = ready
        keep_from = ready * self._down // self._up - self._reach + 1
        self._input = self._input[max(keep_from - self._start, 0) :]
        self._start = max(keep_from, self._start)
        pcm16: NDArray[np.int16] = np.clip(np.rint(scaled / _TAP_SCALE), -32768, 32767).astype(np.int16)
        return pcm16

    def _by_phase(self, bank: NDArray[np.float64], ready: int) -> NDArray[np.float64]:
        """Filter with one product for each phase: outputs of one phase stand `down` inputs apart, so nothing is
        gathered.
        """
        windows = np.lib.stride_tricks.sliding_window_view(self._input.astype(np.float64), 2 * self._reach)
        scaled = np.empty(ready - self._given)
        for offset in range(min(self._up, len(scaled))):
            at, phase = divmod((self._given + offset) * self._down, self._up)
            first, count = at - self._reach + 1 - self._start, len(range(offset, len(scaled), self._up))
            scaled[offset :: self._up] = (
                windows[first : first + (count - 1) * self._down + 1 : self._down] @ bank[phase]
            )
        return scaled

    def _by_place(self, bank: NDArray[np.float64], ready: int) -> NDArray[np.float64]:
        """Filter by gathering each output's inputs, which pays where there are many phases."""
        at, phase = np.divmod(np.arange(self._given, ready) * self._down, self._up)
        windows = np.lib.stride_tricks.sliding_window_view(self._input, 2 * self._reach)
        first = at - self._reach + 1 - self._start
        scaled = np.empty(len(at))
        for block in range(0, len(at), _BLOCK):  # in pieces: the gathered inputs are many times as large as the input
            part = slice(block, block + _BLOCK)
            gathered = windows[first[part]].astype(np.float64)
            scaled[part] = np.einsum("ik,ik->i", gathered, bank[phase[part]])
        return scaled


@lru_cache(maxsize=32)
def _filter_bank(from_rate: int, to_rate: int) -> NDArray[np.float64]:
    """Return one filter for each place an output can have between two inputs [phases, 2 * reach], in multiples of
    2**-24.
    """
    phases = to_rate // gcd(from_rate, to_rate)
    cutoff = (min(from_rate, to_rate) / 2 - _CENTRE_BELOW_NYQUIST_HZ) / from_rate  # cycles per input sample
    # Kaiser's formulas for window length and shape (Oppenheim & Schafer, Discrete-Time Signal Processing, 7.6).
    half_width = (_ATTENUATION_DB - 7.95) / (2.285 * 2 * np.pi * _TRANSITION_HZ / from_rate) / 2  # input samples
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)
    reach = ceil(half_width)
    offsets = np.arange(1 - reach, reach + 1) - np.arange(phases)[:, None] / phases
    window = np.i0(beta * np.sqrt(np.maximum(1 - (offsets / half_width) ** 2, 0))) / np.i0(beta)
    taps = 2 * cutoff * np.sinc(2 * cutoff * offsets) * window * (np.abs(offsets) < half_width)
    # A constant keeps its level in every phase.
    bank: NDArray[np.float64] = np.rint(_TAP_SCALE * taps / taps.sum(axis=1, keepdims=True))
    return bank
