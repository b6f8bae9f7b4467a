"""Whisper's log-mel features, in numpy: what the model was trained to see of a sound.

16 kHz audio in frames of 25 ms every 10 ms (Hann window), their power in bands of Slaney's mel scale, as decibels from
the loudest band of all down to 80 dB below it, scaled to about -1 … 1. transformers' WhisperFeatureExtractor is the
oracle.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16000
HOP_SAMPLES = 160
FRAME_SAMPLES = 400
FRAMES_PER_S = RATE_HZ // HOP_SAMPLES
_RANGE = 8.0
"""In powers of ten: 80 dB."""
_LINEAR_BELOW_HZ = 1000.0
_HZ_PER_MEL = 200.0 / 3.0
_MELS_PER_FACTOR = 27.0 / np.log(6.4)


def log_mel(samples: NDArray[np.float32], bands: int, frames: int) -> NDArray[np.float32]:
    """samples [n at 16 kHz], full scale 1 -> [bands, frames]: the audio with silence behind it, or as much of it as
    the frames hold."""
    wanted = frames * HOP_SAMPLES
    audio = np.zeros(wanted, np.float32)
    audio[: min(len(samples), wanted)] = samples[:wanted]
    around = np.pad(audio, FRAME_SAMPLES // 2, mode="reflect")
    framed = np.lib.stride_tricks.sliding_window_view(around, FRAME_SAMPLES)[::HOP_SAMPLES][:frames]
    spectrum = np.fft.rfft(framed * _window())
    power = np.square(spectrum.real) + np.square(spectrum.imag)  # [frames, bins]
    logarithm = np.log10(np.maximum(_filters(bands) @ power.T, 1e-10))
    features: NDArray[np.float32] = ((np.maximum(logarithm, logarithm.max() - _RANGE) + 4.0) / 4.0).astype(np.float32)
    return features


@lru_cache(maxsize=1)
def _window() -> NDArray[np.float32]:
    periodic: NDArray[np.float32] = np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)
    return periodic


@lru_cache(maxsize=4)
def _filters(bands: int) -> NDArray[np.float32]:
    """Triangles [bands, bins] over Slaney's mel scale, linear below 1 kHz and logarithmic above; each has the same area
    over Hz."""
    edges = _hz(np.linspace(0.0, _mel(RATE_HZ / 2), bands + 2))
    bins = np.arange(FRAME_SAMPLES // 2 + 1) * (RATE_HZ / FRAME_SAMPLES)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    filters: NDArray[np.float32] = (triangles * (2.0 / (high - low))).astype(np.float32)
    return filters


def _mel(hz: float) -> float:
    return float(_LINEAR_BELOW_HZ / _HZ_PER_MEL + np.log(hz / _LINEAR_BELOW_HZ) * _MELS_PER_FACTOR)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = _LINEAR_BELOW_HZ / _HZ_PER_MEL
    above = _LINEAR_BELOW_HZ * np.exp((np.maximum(mel, knee) - knee) / _MELS_PER_FACTOR)
    return np.where(mel < knee, mel * _HZ_PER_MEL, above)
