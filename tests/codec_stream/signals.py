"""Scope: signals that audio tests push through: tones, and something that moves like a voice."""

import numpy as np
from numpy.typing import NDArray


def tone(frequency_hz: float, rate: int, seconds: float, peak: float = 16000.0) -> NDArray[np.int16]:
    time = np.arange(round(rate * seconds)) / rate
    return np.rint(peak * np.sin(2 * np.pi * frequency_hz * time)).astype(np.int16)


def voiced_sound(samples: int, rate: int = 24000) -> NDArray[np.int16]:
    """29 harmonics of a pitch that glides between 90 and 150 Hz, in syllables, over faint noise."""
    time = np.arange(samples) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(4 * np.pi * time)) / rate
    harmonics = np.sum([np.sin(k * phase) / k for k in range(1, 30)], axis=0)
    syllables = 0.3 + 0.7 * np.abs(np.sin(3 * np.pi * time))
    noise = np.random.default_rng(0).standard_normal(samples)
    return np.rint(4000 * harmonics * syllables + 30 * noise).astype(np.int16)


def level_db(samples: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    """How much louder `samples` is; a signal without any power counts as 1e-12."""
    powers = [np.mean(signal.astype(np.float64) ** 2) + 1e-12 for signal in (samples, reference)]
    return float(10 * np.log10(powers[0] / powers[1]))


def cuts(total: int, sizes: list[int]) -> list[slice]:
    """Slices of the sizes given, then one of what is left of `total`."""
    ends = np.minimum(np.cumsum([0, *sizes]), total).tolist()
    return [slice(start, end) for start, end in zip(ends, [*ends[1:], total], strict=True)]
