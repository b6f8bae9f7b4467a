"""Defines rows, which describe the sound of ten milliseconds apart from its pitch.

A row is the log power envelope in `MELS` mel bands and the aperiodicity in `BANDS` bands, in tens of decibels (0 is
noise, less is periodic). Four rows make a frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from training.speech import HOP

PARTS = 4
STEP = HOP // PARTS
FFT = 1024
BINS = FFT // 2 + 1
MELS = 40
BANDS = 3
ROW = MELS + BANDS
BAND_HZ = 3000.0
"""The aperiodicity is known at this frequency and its multiples."""
PERIODIC_DB = -60.0
LEAST_DB = -0.6
"""A voiced row is at most this aperiodic, so that it can be told from an unvoiced one."""
FLOOR = 3e-7
"""The power below which no difference counts, so that no codes are spent on what is 60 dB below speech."""

_HZ = np.linspace(0, SAMPLE_RATE / 2, BINS)


def _to_mel(hz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hz, float) / 700.0)


def _banks() -> tuple[np.ndarray, np.ndarray]:
    """Return averages of the log envelope over triangles [BINS, MELS], and straight lines back [MELS, BINS]."""
    centres, points = np.linspace(_to_mel(60.0), _to_mel(11_300.0), MELS), _to_mel(_HZ)
    width = centres[1] - centres[0]
    bank = np.maximum(0, 1 - np.abs(points[:, None] - centres) / width)
    place = np.clip((points - centres[0]) / width, 0, MELS - 1)
    low = np.minimum(place.astype(int), MELS - 2)
    back = np.zeros((MELS, BINS))
    back[low, np.arange(BINS)], back[low + 1, np.arange(BINS)] = 1 - (place - low), place - low
    return bank / bank.sum(0), back


BANK, BACK = _banks()


def envelope(rows: np.ndarray, warp: float = 1.0) -> np.ndarray:
    """Log power at every bin, [n, BINS]. `warp` moves the formants up by that factor."""
    result: NDArray[np.float64] = rows[:, :MELS].astype(np.float64) @ BACK
    if warp != 1.0:
        result = np.stack([np.interp(_HZ / warp, _HZ, row) for row in result])
    return result


def noise_share(rows: np.ndarray) -> np.ndarray:
    """Return the share of the power that is noise at every bin, [n, BINS]."""
    known = np.arange(BANDS + 2) * BAND_HZ
    known[-1] = SAMPLE_RATE / 2
    bands = np.minimum(rows[:, MELS:].astype(np.float64) * 10, 0.0)
    decibels = np.concatenate([np.full((len(rows), 1), PERIODIC_DB), bands, np.zeros((len(rows), 1))], 1)
    decibels[~voiced(rows)] = 0.0
    low = np.minimum((_HZ / BAND_HZ).astype(int), BANDS)
    share = (_HZ - known[low]) / (known[low + 1] - known[low])
    return np.asarray(10 ** ((decibels[:, low] * (1 - share) + decibels[:, low + 1] * share) / 10))


def voiced(rows: np.ndarray) -> np.ndarray:
    """Tell which rows have a pitch, [n] bool."""
    return np.asarray(rows[:, MELS:].mean(1) < LEAST_DB / 20)


def soften(rows: np.ndarray) -> np.ndarray:
    """Return the rows with an envelope that ends at `FLOOR`."""
    result = rows.astype(np.float32).copy()
    result[:, :MELS] = np.log(np.exp(result[:, :MELS]) + FLOOR)
    return result
