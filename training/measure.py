"""Measures speech in numbers and pictures: words that a recogniser hears, distance of two recordings, spectrograms.

The recogniser is pocketsphinx with the model of its wheel: weak, small, offline and the same everywhere. Read its word
errors only beside those of the source it is compared to.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from realtime.text import normalise
from training.quantizer import MELS, PARTS, features
from training.speech import HOP

SILENCE_S = 0.25


class Recogniser:
    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise RuntimeError("the evaluation needs a recogniser: pip install pocketsphinx") from error
        self._decoder = Decoder(loglevel="FATAL")

    def words(self, samples: np.ndarray) -> list[str]:
        """Return the words heard in a wave [n] float32 at the codec's rate."""
        padded = np.pad(samples, int(SILENCE_S * SAMPLE_RATE))
        pcm = (np.clip(soxr.resample(padded, SAMPLE_RATE, 16_000), -1, 1) * 32767).astype("<i2")
        self._decoder.start_utt()
        self._decoder.process_raw(pcm.tobytes(), full_utt=True)
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return words_of(re.sub(r"\(\d+\)", "", heard.hypstr)) if heard else []


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", normalise(text).lower())


def errors(wanted: Sequence[str], heard: Sequence[str]) -> int:
    """Count insertions, deletions and substitutions."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def mel_frames(samples: np.ndarray) -> np.ndarray:
    """Return log-mels [n, MELS] in dB, one each 20 ms."""
    padded = np.pad(samples, (0, -len(samples) % HOP))
    decibels: NDArray[np.float64] = features(padded).reshape(-1, MELS)[:: PARTS // 2] * (10 / np.log(10))
    return decibels


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the mean log-mel distance in dB along the best path of dynamic time warping. Loudness is taken out."""
    a, b = mel_frames(ours), mel_frames(theirs)
    a, b = a - np.quantile(a, 0.95), b - np.quantile(b, 0.95)
    a, b = np.maximum(a, -60), np.maximum(b, -60)
    cost = np.sqrt(((a[:, None] - b[None]) ** 2).mean(2))
    return _best_path(cost)


def _best_path(cost: np.ndarray) -> float:
    """Return the mean cost along the cheapest monotone path from one corner to the other, by anti-diagonals."""
    high, wide = cost.shape
    before = last = np.full((high + 1, 2), np.inf)  # total and steps at row i - 1 of a diagonal; row 0 is the border
    for diagonal in range(high + wide - 1):
        rows = np.arange(max(0, diagonal - wide + 1), min(high, diagonal + 1))
        now = np.full((high + 1, 2), np.inf)
        if diagonal:
            choices = np.stack([before[rows], last[rows], last[rows + 1]])
            best = choices[choices[:, :, 0].argmin(0), np.arange(len(rows))]
        else:
            best = np.zeros((1, 2))
        now[rows + 1] = best + np.stack([cost[rows, diagonal - rows], np.ones(len(rows))], 1)
        before, last = last, now
    total, steps = last[high]
    return float(total / steps)


def spectrogram(path: Path, waves: Sequence[np.ndarray]) -> None:
    """Write a grey PNG: one log spectrogram (0-12 kHz, 70 dB) below the other, 10 ms a column."""
    panels = [_panel(wave) for wave in waves]
    width = max(panel.shape[1] for panel in panels)
    rows = [np.pad(panel, ((0, 6), (0, width - panel.shape[1])), constant_values=255) for panel in panels]
    _write_png(path, np.concatenate(rows))


def _panel(wave: np.ndarray) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(np.pad(wave, 256), 512)[::240]
    level = 20 * np.log10(np.abs(np.fft.rfft(views * np.hanning(512), axis=1)) + 1e-4)
    grey = 255 - np.clip((level - level.max() + 70) / 70, 0, 1) * 255
    upright: NDArray[np.uint8] = grey.T[::-1].astype(np.uint8)
    return upright


def _write_png(path: Path, grey: np.ndarray) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = grey.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), grey], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    )
