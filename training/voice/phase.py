"""Codes pitch: how many cycles a frame has, and where in its cycle the next one begins.

The phase at frame starts is kept as whole sixteenths of a cycle, the *knots* [frames + 1]. Between them a cubic runs
whose slopes at frame starts are the means of the frames around, so that the phase at any time is a linear function of
four knots: a decoder with one frame of look-ahead knows it exactly. A frame's *length* is the difference of its knots,
its *place* the end knot within a cycle. A place follows from the length and the place before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from training.speech import HOP

SIXTEENTHS = 16
"""The parts that a cycle is divided into. One more sixteenth a frame is 1.56 Hz."""
F0_STEP_S = 0.005
"""The time between two values of f0."""
LONGEST = 255
MIDDLE_HZ = 130.0


def joined(f0: np.ndarray) -> np.ndarray:
    """Fill what is unvoiced (zero) with straight lines in the logarithm between its neighbours, [n]."""
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return np.full(len(f0), MIDDLE_HZ)
    return np.asarray(np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced].astype(np.float64)))))


def contour(f0: np.ndarray) -> np.ndarray:
    """Return f0 joined and smoothed over 25 ms, [n]."""
    kernel = np.hanning(7)[1:-1]
    return np.convolve(np.pad(joined(f0), 2, mode="edge"), kernel / kernel.sum(), "valid")


def knots(f0: np.ndarray, frames: int) -> np.ndarray:
    """Integrate f0 [n], one value each `F0_STEP_S`, to the phase at frame starts, [frames + 1]."""
    line = contour(f0)
    fine = np.interp(np.arange(frames * HOP) / SAMPLE_RATE, np.arange(len(line)) * F0_STEP_S, line)
    phase = np.concatenate([[0.0], np.cumsum(fine) / SAMPLE_RATE])
    return np.round(phase[::HOP] * SIXTEENTHS).astype(np.int64)


def at_samples(knots: np.ndarray) -> np.ndarray:
    """Return the cycles at every sample, [frames x HOP]."""
    cycles = np.diff(knots) / SIXTEENTHS
    slope = (np.concatenate([cycles[:1], cycles]) + np.concatenate([cycles, cycles[-1:]])) / 2
    start, end, u = slope[:-1, None], slope[1:, None], (np.arange(HOP) / HOP)[None]
    cubic = start * (u**3 - 2 * u**2 + u) + end * (u**3 - u**2) + cycles[:, None] * (3 * u**2 - 2 * u**3)
    phase: NDArray[np.float64] = (knots[:-1, None] / SIXTEENTHS + cubic).reshape(-1)
    return phase


def codes(knots: np.ndarray) -> np.ndarray:
    """Return length and place of every frame, [frames, 2]."""
    return np.stack([np.clip(np.diff(knots), 0, LONGEST), knots[1:] % SIXTEENTHS], 1)


def from_codes(pairs: np.ndarray) -> np.ndarray:
    """Return the knots of lengths and places [frames, 2]. Where the two disagree the place is believed."""
    result = [int(pairs[0, 1] - pairs[0, 0])]
    for length, place in pairs.tolist():
        off = (result[-1] + length - place) % SIXTEENTHS
        result.append(result[-1] + length - (off if off <= SIXTEENTHS // 2 else off - SIXTEENTHS))
    return np.array(result)
