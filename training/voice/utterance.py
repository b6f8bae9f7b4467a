"""Defines an utterance as the recipe keeps it: no wave, but all that a wave is made of.

All stages after the teacher see utterances only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from training.speech import FRAME_S, HOP
from training.voice import phase, vocoder
from training.voice.rows import MELS, PARTS, STEP, voiced

LEAD_S, TAIL_S = 0.03, 0.08
"""How much quiet stays before and behind the speech."""
QUIET_DB = 45.0
"""A row that is this far below the loudest one is quiet."""


@dataclass(frozen=True)
class Utterance:
    """Holds speech of whole frames with its notation."""

    notation: str
    rows: np.ndarray  # [frames x PARTS, ROW]
    f0: np.ndarray  # Hz, one each phase.F0_STEP_S, 0 where unvoiced
    owner: np.ndarray  # [frames] index into the notation

    @property
    def frames(self) -> int:
        return len(self.owner)

    def knots(self, ratio: float = 1.0) -> np.ndarray:
        """Return the phase at frame starts, of the pitch times `ratio`."""
        return phase.knots(self.f0 * ratio, self.frames)

    def wave(self, ratio: float = 1.0, warp: float = 1.0) -> np.ndarray:
        """Return the wave [frames x HOP] float32 that the vocoder makes."""
        pulses, hiss = vocoder.synthesise(self.rows, self.knots(ratio), warp=warp)
        wave: NDArray[np.float32] = pulses + hiss
        return wave


def f0_values(frames: int) -> int:
    """Return how many values of f0 an utterance of `frames` has: both ends have one."""
    return round(frames * FRAME_S / phase.F0_STEP_S) + 1


def trimmed(notation: str, rows: np.ndarray, f0: np.ndarray, seconds: np.ndarray) -> Utterance:
    """Make an utterance of what is not quiet at both ends. `seconds` [symbols] says how long each symbol lasts."""
    level = rows[:, :MELS].max(1)
    loud = np.flatnonzero(level > level.max() - QUIET_DB * np.log(10) / 10)
    first = max(0, loud[0] - round(LEAD_S * SAMPLE_RATE / STEP))
    last = min(len(rows), loud[-1] + 1 + round(TAIL_S * SAMPLE_RATE / STEP))
    frames = -(-(last - first) // PARTS)
    rows = np.pad(rows[first:last], ((0, frames * PARTS - (last - first)), (0, 0)), mode="edge")
    begin = round(first * STEP / SAMPLE_RATE / phase.F0_STEP_S)
    count = f0_values(frames)
    f0 = f0[begin : begin + count]
    f0 = np.pad(f0, (0, count - len(f0)))
    ends = np.cumsum(seconds) - first * STEP / SAMPLE_RATE
    owner = np.minimum(np.searchsorted(ends, (np.arange(frames) + 0.5) * HOP / SAMPLE_RATE), len(ends) - 1)
    return Utterance(notation, rows.astype(np.float32), f0, owner.astype(np.int16))


def silence_pitch(rows: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Return f0 with zeros where the row at that time is unvoiced."""
    at = np.minimum((np.arange(len(f0)) * phase.F0_STEP_S * SAMPLE_RATE / STEP).astype(int), len(rows) - 1)
    return np.where(voiced(rows)[at], f0, 0.0)
