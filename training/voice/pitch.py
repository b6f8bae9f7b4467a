"""Tracks the pitch of a wave: the best path through normalised autocorrelation.

The recipe learns from the pitch that the teacher gives; this measures what comes out.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from training.voice.phase import F0_STEP_S

RATE = 6_000
WINDOW_S = 0.038
SIDE = 400
QUIET = 0.003  # root mean square below which nothing is voiced
JUMP = 2.5
"""The cost of a change of pitch by a factor of e between two values."""
PERIODIC = 0.3
"""A wave counts as voiced from this autocorrelation on."""


def track(wave: np.ndarray, low: float = 60.0, high: float = 400.0) -> np.ndarray:
    """Return f0 in Hz each `F0_STEP_S` of a wave at the codec's rate, 0 where unvoiced."""
    step, window = round(RATE * F0_STEP_S), round(RATE * WINDOW_S)
    count = len(wave) // round(SAMPLE_RATE * F0_STEP_S) + 1
    lags = np.arange(int(RATE / high), int(RATE / low) + 2)
    y = np.pad(soxr.resample(wave.astype(np.float64), SAMPLE_RATE, RATE), (SIDE, SIDE + lags[-1] + window + step))
    centres = SIDE + np.arange(count) * step
    total = np.concatenate([[0.0], np.cumsum(y * y)])
    scores = np.empty((len(lags), count))
    for row, lag in enumerate(lags):
        start = centres - (window + lag) // 2
        product = np.concatenate([[0.0], np.cumsum(y[:-lag] * y[lag:])])
        energy = (total[start + window] - total[start]) * (total[start + lag + window] - total[start + lag])
        scores[row] = (product[start + window] - product[start]) / np.sqrt(energy + 1e-12)
    half = window // 2
    loud = np.sqrt((total[centres + half] - total[centres - half]) / window) > QUIET
    path = _best_path(scores[1:-1], lags[1:-1])
    at = np.arange(count)
    left, middle, right = scores[path, at], scores[path + 1, at], scores[path + 2, at]
    bend = np.minimum(left - 2 * middle + right, -1e-6)
    fine = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return np.where((middle > PERIODIC) & loud, RATE / (lags[path + 1] + fine), 0.0)


def _best_path(scores: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Return the index of the lag at every time. Short lags are preferred a little, since their doubles score as
    high.
    """
    move = JUMP * np.abs(np.log(lags[:, None] / lags[None]))
    liked = 0.05 * np.log(RATE / lags / 100)
    best, back = scores[:, 0].copy(), np.zeros((scores.shape[1], len(lags)), np.int16)
    for time in range(1, scores.shape[1]):
        options = best[None] - move
        back[time] = options.argmax(1)
        best = options[np.arange(len(lags)), back[time]] + scores[:, time] + liked
    path = np.empty(scores.shape[1], int)
    path[-1] = best.argmax()
    for time in range(len(path) - 1, 0, -1):
        path[time - 1] = back[time, path[time]]
    return path


def cents(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the distances of two contours in cents, where both are voiced."""
    count = min(len(ours), len(theirs))
    ours, theirs = ours[:count], theirs[:count]
    both = (ours > 0) & (theirs > 0)
    apart: NDArray[np.float64] = np.abs(1200 * np.log2(ours[both] / theirs[both]))
    return apart
