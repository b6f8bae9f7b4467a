"""Runs the teacher: a neural synthesiser that reads our notation, says the same always and tells when it says each
sign.

`Kokoro` runs the graph; `training.voice.shortcut` makes utterances of what it gives. It needs `onnxruntime`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from training.voice import phase
from training.voice.phones import to_teacher
from training.voice.utterance import Utterance

DURATION_S = 0.025
FRAME_S = 0.0125
"""The time between two values of hidden and f0."""
VOICED_HZ = 40.0
LATE_S = 0.005
"""By this much the teacher's f0 comes behind the pitch of its waves."""
STEEP = 0.9
"""A voice's pitch does not fall to this share of itself within FRAME_S."""
EDGE = 4
"""Values at most of a voiced stretch that come from nothing or go back there."""


class Synthesiser(Protocol):
    """Says what the stages ask of a teacher."""

    def say(self, notation: str, speaker: str) -> Utterance: ...


@dataclass(frozen=True)
class Spoken:
    """Holds what one run of the graph gives."""

    seconds: np.ndarray  # of every character of the notation
    f0: np.ndarray  # [n] Hz, one each FRAME_S, 0 where unvoiced
    hidden: np.ndarray  # [512, n]
    wave: np.ndarray | None  # at 24 kHz, where the whole graph ran


class Kokoro:
    """Runs the graph. `whole` says whether it makes waves, at eight times the cost."""

    def __init__(self, folder: Path, whole: bool = False) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = folder / ("whole.onnx" if whole else "short.onnx")
        self._net = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._signs: dict[str, int] = json.loads((folder / "signs.json").read_text(encoding="utf-8"))
        self._styles = dict(np.load(folder / "styles.npz"))
        self._whole = whole

    def say(self, notation: str, speaker: str, speed: float = 1.0) -> Spoken:
        """Speak a text in our notation. Raises KeyError for a speaker without a style."""
        ids, owner = [0], [0]
        for at, said in enumerate(to_teacher(notation)):
            for sign in said:
                if sign in self._signs:
                    ids.append(self._signs[sign])
                    owner.append(at)
        styles = self._styles[speaker]
        style = styles[min(len(ids) - 1, len(styles)) - 1][None]
        ids.append(0)
        owner.append(max(0, len(notation) - 1))
        feed = {"tokens": np.array([ids], np.int64), "style": style, "speed": np.array([speed], np.float32)}
        *wave, durations, f0, hidden = self._net.run(None, feed)
        seconds = np.zeros(len(notation))
        np.add.at(seconds, owner, durations.reshape(-1) * DURATION_S)
        f0 = f0.reshape(-1)
        f0 = settled(np.where(f0 > VOICED_HZ, f0, 0.0))
        return Spoken(seconds, f0, hidden[0], wave[0].reshape(-1) if wave else None)


def settled(f0: np.ndarray) -> np.ndarray:
    """f0 without the steep falls at both edges of what is voiced, which take the value within.

    The teacher's pitch is a smooth line that is zero where nothing is voiced. So it comes from nothing and goes back
    there within a few values; in its waves the tracker does not find these."""
    result = np.pad(f0, 1)
    for line in (result, result[::-1]):
        for first in np.flatnonzero((line[:-1] == 0) & (line[1:] > 0)) + 1:
            inner = first
            while inner < first + EDGE and line[inner] < STEEP * line[inner + 1]:
                inner += 1
            line[first:inner] = line[inner]
    return result[1:-1]


def spread(f0: np.ndarray) -> np.ndarray:
    """Interpolate f0 each FRAME_S (middles) to f0 each `phase.F0_STEP_S`, by straight lines in its logarithm; 0 stays
    0.
    """
    times = np.arange(int(len(f0) * FRAME_S / phase.F0_STEP_S) + 1) * phase.F0_STEP_S
    place = np.clip((times + LATE_S) / FRAME_S - 0.5, 0, len(f0) - 1)
    line = np.exp(np.interp(place, np.arange(len(f0)), np.log(phase.joined(f0))))
    return np.where(f0[np.round(place).astype(int)] > 0, line, 0.0)
