"""Makes the codec's codes without gradient: features of a frame, principal components, k-means residual quantizers.

A frame's features are 4 x 32 log-mels (one spectrum each 10 ms). They are taken from the reference voice; the other
voices speak the same phones at the same times, so one set of content codes serves all voices, and the last codebook
says only which voice it is. The language model then learns the contents once, and a voice is one more symbol to keep in
mind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from training.speech import HOP

PARTS = 4
MELS = 32
WINDOW = 480
FLOOR = 1e-5
VOICE_DIMS = 2
VOICE_RADIUS = 4.0


def mel_bank(bins: int, mels: int = MELS, low_hz: float = 50.0, high_hz: float = 7600.0) -> np.ndarray:
    """Return triangles spaced evenly on the mel scale, [bins, mels]."""

    def to_mel(hz: np.ndarray | float) -> np.ndarray:
        mel: NDArray[np.float64] = 2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0)
        return mel

    edges = np.linspace(to_mel(low_hz), to_mel(high_hz), mels + 2)
    points = to_mel(np.linspace(0, SAMPLE_RATE / 2, bins))[:, None]
    rise = (points - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - points) / (edges[2:] - edges[1:-1])
    bank: NDArray[np.float64] = np.maximum(0.0, np.minimum(rise, fall))
    return bank


_BANK = mel_bank(1024 // 2 + 1)
_HANN = np.hanning(WINDOW + 1)[:-1]


def features(samples: np.ndarray) -> np.ndarray:
    """Return the log-mels [frames, PARTS x MELS] of samples [frames x HOP]."""
    step = HOP // PARTS
    side = (WINDOW - step) // 2
    padded = np.pad(samples, (side, side))
    views = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::step]
    power = np.abs(np.fft.rfft(views * _HANN, 1024)) ** 2
    mels: NDArray[np.float64] = np.log(power @ _BANK + FLOOR).reshape(len(samples) // HOP, PARTS * MELS)
    return mels.astype(np.float32)


@dataclass
class Quantizer:
    """Turns features into codes, and codes into latents."""

    mean: np.ndarray  # [features]
    basis: np.ndarray  # [features, content dims], already scaled
    books: np.ndarray  # [codebooks, entries, dims]; the last one holds the voices

    @property
    def dims(self) -> int:
        return int(self.books.shape[2])

    def content(self, feature: np.ndarray) -> np.ndarray:
        """[n, features] to content latents [n, content dims]."""
        latents: NDArray[np.float32] = (feature - self.mean) @ self.basis
        return latents

    def encode(self, content: np.ndarray) -> np.ndarray:
        """Return the codes [n, codebooks - 1] of content latents, each the nearest entry to what the earlier ones
        left.
        """
        residual = content.astype(np.float32).copy()
        codes = []
        for book in self.books[:-1]:
            entries = book[:, : residual.shape[1]]
            nearest = _nearest(residual, entries)
            residual -= entries[nearest]
            codes.append(nearest)
        return np.stack(codes, 1).astype(np.uint8)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """All codebooks' codes [n, codebooks] to latents [n, dims]."""
        return np.asarray(sum(book[codes[:, i]] for i, book in enumerate(self.books)))


def _nearest(points: np.ndarray, entries: np.ndarray) -> np.ndarray:
    size = (entries**2).sum(1)
    return np.concatenate(
        [np.argmin(size - 2.0 * points[i : i + 8192] @ entries.T, axis=1) for i in range(0, len(points), 8192)]
    )


def _kmeans(points: np.ndarray, count: int, rounds: int, draw: np.random.Generator) -> np.ndarray:
    entries = points[draw.choice(len(points), count, replace=len(points) < count)].copy()
    for _ in range(rounds):
        which = _nearest(points, entries)
        sums = np.zeros_like(entries)
        np.add.at(sums, which, points)
        sizes = np.bincount(which, minlength=count)
        entries = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], entries)
        empty = np.flatnonzero(sizes == 0)
        entries[empty] = points[draw.choice(len(points), len(empty))]
    return entries


def fit(
    feature: np.ndarray,
    voices: int,
    codebooks: int = 8,
    entries: int = 256,
    dims: int = 48,
    rounds: int = 12,
    seed: int = 0,
) -> Quantizer:
    draw = np.random.default_rng(seed)
    mean = feature.mean(0)
    centred = feature - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    keep = dims - VOICE_DIMS
    basis = vectors[:, ::-1][:, :keep]
    basis = basis / np.sqrt(values[::-1][:keep].mean())
    residual = (centred @ basis).astype(np.float32)
    books = np.zeros((codebooks, entries, dims), np.float32)
    for book in range(codebooks - 1):
        learned = _kmeans(residual, entries, rounds, draw)
        books[book, :, :keep] = learned
        residual = residual - learned[_nearest(residual, learned)]
    angle = 2 * np.pi * np.arange(entries) / voices
    books[-1, :, keep] = VOICE_RADIUS * np.cos(angle)
    books[-1, :, keep + 1] = VOICE_RADIUS * np.sin(angle)
    books[-1, voices:, keep:] *= 100.0  # never the nearest, so only the voices' own ids occur
    return Quantizer(mean.astype(np.float32), basis.astype(np.float32), books)
