"""Defines the codebooks that are served: the envelope's, then the frame's length, then its place together with the
voice.

Latents are [content, turn, voice, length, place]. The last id is 16 x voice + place, so a voice costs no codebook of
its own. A place is a sawtooth, which no encoder can regress; so the last codebook also holds its cosine and sine, the
*turn*: what the encoder finds of these decides which entry is nearest.
"""

from __future__ import annotations

import numpy as np

from training import quantizer as rvq
from training.quantizer import VOICE_DIMS, VOICE_RADIUS
from training.voice import phase
from training.voice.oscillator import PITCH_DIMS
from training.voice.quantizer import Quantizer
from training.voice.speakers import VOICES

PITCH_BOOKS = 2
TURN_DIMS = 2
TURN_RADIUS = 2.0
LATE_DIMS = TURN_DIMS + VOICE_DIMS
"""The dims before the pitch's that come with the last codebook. Of the frame ahead they are not known in time."""


def voice_latents() -> np.ndarray:
    """Return where every voice lies, [16, VOICE_DIMS]: on a circle; numbers that are no voice lie in its middle."""
    result = np.zeros((256 // phase.SIXTEENTHS, VOICE_DIMS), np.float32)
    result[: len(VOICES)] = VOICE_RADIUS * _circle(np.arange(len(VOICES)) / len(VOICES))
    return result


def _circle(turns: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], 1)


def served(fitted: Quantizer) -> rvq.Quantizer:
    """Return all codebooks as `training.codec_folder` writes them, [books + 2, entries, all dims]."""
    books, entries, dims = fitted.books.shape
    table = np.zeros((books + PITCH_BOOKS, entries, dims + LATE_DIMS + PITCH_DIMS), np.float32)
    table[:books, :, :dims] = fitted.books
    code = np.arange(entries)
    place = code % phase.SIXTEENTHS / phase.SIXTEENTHS
    table[books, :, -2] = code / phase.SIXTEENTHS
    table[books + 1, :, -1] = place
    table[books + 1, :, dims : dims + TURN_DIMS] = TURN_RADIUS * _circle(place)
    table[books + 1, :, dims + TURN_DIMS : dims + LATE_DIMS] = voice_latents()[code // phase.SIXTEENTHS]
    return rvq.Quantizer(fitted.mean, fitted.basis, table)


def ids(content: np.ndarray, pairs: np.ndarray, voice: int) -> np.ndarray:
    """Return content codes [n, books] and pitch codes [n, 2] as a voice's ids [n, books + 2]."""
    return np.concatenate([content, pairs[:, :1], phase.SIXTEENTHS * voice + pairs[:, 1:]], 1)
