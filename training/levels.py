"""Measures what can be wrong with a wave whatever it says: level, offset, clicks where it starts, silence that does not
end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codec_stream.rate import SAMPLE_RATE

FRAME = SAMPLE_RATE // 100
SILENCE = 5e-3  # root mean square (-46 dBFS) of a frame below which it is a pause: the codec's noise is under it
ONSET_S = 0.005


@dataclass(frozen=True)
class Levels:
    """Holds the levels of one wave. Amplitudes are shares of full scale."""

    speech: float  # root mean square of the frames that are heard
    peak: float
    offset: float  # mean of all samples
    onset: float  # peak of the first five milliseconds: a voice starts from silence
    pause_s: float  # longest run of silence

    @staticmethod
    def of(samples: np.ndarray) -> Levels:
        """Measure a wave [n] float32 at the codec's rate, of at least ten milliseconds."""
        frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
        power = (frames.astype(np.float64) ** 2).mean(1)
        heard = power > SILENCE**2
        return Levels(
            speech=float(np.sqrt(power[heard].mean())) if heard.any() else 0.0,
            peak=float(np.abs(samples).max()),
            offset=float(samples.mean()),
            onset=float(np.abs(samples[: int(ONSET_S * SAMPLE_RATE)]).max()),
            pause_s=longest_run(~heard) * FRAME / SAMPLE_RATE,
        )

    @staticmethod
    def worst(all_of_them: list[Levels]) -> Levels:
        """Return the mean speech level, and the largest of everything else."""
        return Levels(
            speech=float(np.mean([levels.speech for levels in all_of_them])),
            peak=max(levels.peak for levels in all_of_them),
            offset=max((levels.offset for levels in all_of_them), key=abs),
            onset=max(levels.onset for levels in all_of_them),
            pause_s=max(levels.pause_s for levels in all_of_them),
        )

    def line(self) -> str:
        return (
            f"speech at {decibels(self.speech):.0f} dBFS, peak {decibels(self.peak):.0f}, offset {self.offset:+.4f}, "
            f"first 5 ms below {decibels(self.onset):.0f} dBFS, longest pause {self.pause_s:.2f} s"
        )


def longest_run(marks: np.ndarray) -> int:
    """Return the length of the longest run of True in [n] booleans."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def decibels(amplitude: float) -> float:
    return float(20 * np.log10(max(amplitude, 1e-6)))
