"""Makes sound for the benchmark of calls, which costs a codec and a speech detector what speech costs them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PITCH_HZ = 120.0
_SYLLABLE_S = 0.22
_VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""The first three formants of five vowels: means of men's voices (Peterson and Barney, 1952)."""
_WIDTHS_HZ = (90, 110, 170)
_HISS_S = 0.05


def speech_like(seconds: float, rate: int, seed: int = 0) -> bytes:
    """Make syllables without a pause, mono PCM16 at `rate` Hz.

    The pitch of the voice wanders, its vowels run one into the next, and before each there is a hiss.
    """
    chance = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    syllables = int(seconds / _SYLLABLE_S) + 2
    corners = np.arange(syllables) * _SYLLABLE_S
    vowels = np.asarray(_VOWELS_HZ, dtype=np.float64)[chance.integers(0, len(_VOWELS_HZ), syllables)]
    pitch = np.interp(time, corners, _PITCH_HZ * 2 ** chance.uniform(-0.25, 0.25, syllables))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = [np.interp(time, corners, vowels[:, index]) for index in range(len(_WIDTHS_HZ))]
    voice = np.zeros_like(time)
    for harmonic in range(1, int(4000 / _PITCH_HZ)):
        voice += _gain(harmonic * pitch, formants) * np.sin(harmonic * phase) / harmonic
    into = time % _SYLLABLE_S
    voice *= np.sin(np.pi * into / _SYLLABLE_S) ** 0.5
    hiss = np.diff(chance.standard_normal(len(time) + 1)) * (into < _HISS_S)
    sound = voice / np.abs(voice).max() + 0.08 * hiss
    return np.asarray(np.clip(sound * 9000, -32768, 32767), dtype="<i2").tobytes()


def _gain(hertz: NDArray[np.float64], formants: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return how much of a partial at `hertz` the mouth lets through."""
    passed = np.full_like(hertz, 0.02)
    for formant, width in zip(formants, _WIDTHS_HZ, strict=True):
        passed += 1 / (1 + ((hertz - formant) / width) ** 2)
    return passed
