"""Analyses a wave into rows, by WORLD's envelope and aperiodicity. It needs `pyworld`; only the shortcut is taught by
it.
"""

from __future__ import annotations

import numpy as np

from codec_stream.rate import SAMPLE_RATE
from training.voice import phase
from training.voice.rows import BANK, FFT, LEAST_DB, STEP, soften

DITHER = 1e-5
FINER = 0.08
"""The pitch is refined from the wave, within this share of the given pitch."""


def analyse(wave: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Return the rows [n, ROW] of a wave at the codec's rate, one each ten milliseconds.

    `f0` is in Hz each `phase.F0_STEP_S`, 0 where unvoiced.
    """
    import pyworld

    wave = wave.astype(np.float64) + np.random.default_rng(0).normal(0, DITHER, len(wave))
    times = (np.arange(len(wave) // STEP) + 0.5) * STEP / SAMPLE_RATE
    at = np.minimum(np.round(times / phase.F0_STEP_S).astype(int), len(f0) - 1)
    given = np.ascontiguousarray(f0[at], np.float64)
    finer = pyworld.stonemask(wave, given, times, SAMPLE_RATE)
    pitch = np.where(np.abs(finer - given) < FINER * given, finer, given)
    envelope = pyworld.cheaptrick(wave, pitch, times, SAMPLE_RATE, fft_size=FFT)
    aperiodicity = pyworld.d4c(wave, pitch, times, SAMPLE_RATE, threshold=0.0, fft_size=FFT)
    bands = np.minimum(pyworld.code_aperiodicity(aperiodicity, SAMPLE_RATE), LEAST_DB) / 10
    bands[pitch == 0] = 0.0
    return soften(np.concatenate([np.log(envelope + 1e-12) @ BANK, bands], 1))
