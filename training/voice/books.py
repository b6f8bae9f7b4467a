"""The codebooks that are served: the envelope's, then the frame's length, then its place together with the voice.

Latents are [content, voice, length, place]. The last id is 16 x voice + place, so a voice costs no codebook of its
own."""

from __future__ import annotations

import numpy as np

from training import quantizer as rvq
from training.quantizer import VOICE_DIMS, VOICE_RADIUS
from training.voice import phase
from training.voice.oscillator import PITCH_DIMS
from training.voice.quantizer import Quantizer
from training.voice.speakers import VOICES

PITCH_BOOKS = 2


def voice_latents() -> np.ndarray:
    """Where every voice lies, [16, VOICE_DIMS]: on a circle; the numbers that are no voice in its middle."""
    angle = 2 * np.pi * np.arange(len(VOICES)) / len(VOICES)
    result = np.zeros((256 // phase.SIXTEENTHS, VOICE_DIMS), np.float32)
    result[: len(VOICES)] = VOICE_RADIUS * np.stack([np.cos(angle), np.sin(angle)], 1)
    return result


def served(fitted: Quantizer) -> rvq.Quantizer:
    """All codebooks as `training.codec_folder` writes them, [books + 2, entries, content + voice + pitch]."""
    books, entries, dims = fitted.books.shape
    table = np.zeros((books + PITCH_BOOKS, entries, dims + VOICE_DIMS + PITCH_DIMS), np.float32)
    table[:books, :, :dims] = fitted.books
    code = np.arange(entries)
    table[books, :, -2] = code / phase.SIXTEENTHS
    table[books + 1, :, -1] = code % phase.SIXTEENTHS / phase.SIXTEENTHS
    table[books + 1, :, dims : dims + VOICE_DIMS] = voice_latents()[code // phase.SIXTEENTHS]
    return rvq.Quantizer(fitted.mean, fitted.basis, table)


def ids(content: np.ndarray, pairs: np.ndarray, voice: int) -> np.ndarray:
    """Content codes [n, books] and pitch codes [n, 2] as a voice's ids [n, books + 2]."""
    return np.concatenate([content, pairs[:, :1], phase.SIXTEENTHS * voice + pairs[:, 1:]], 1)
