"""Codes of an envelope: principal components of a frame's rows, residual quantizers, and a search that looks ahead.

    python -m training.voice.quantizer WORK

As `training.quantizer`, but for rows and with pitch left out, which has codes of its own. The search keeps the best few
of all combinations instead of the nearest entry of each book; nothing of it is served."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.quantizer import _kmeans, _nearest
from training.voice.corpus import read
from training.voice.rows import LEAST_DB, MELS, PARTS, ROW, soften, voiced

BOOKS = 8
ENTRIES = 256
DIMS = 64
BEAM = 8
FIT_FRAMES = 150_000
BAND_WEIGHT = 3.0
VOICED = 1.0
"""How much lower voiced rows are put in all bands, in tens of decibels, so that no code confuses them with unvoiced
ones."""


def features(rows: np.ndarray) -> np.ndarray:
    """Turn rows [frames x PARTS, ROW] into what is quantised, [frames, PARTS x ROW]."""
    result = soften(rows)
    result[:, MELS:] = BAND_WEIGHT * (result[:, MELS:] - VOICED * voiced(rows)[:, None])
    return result.reshape(-1, PARTS * ROW)


def to_rows(feature: np.ndarray) -> np.ndarray:
    """Turn features back into rows, [frames x PARTS, ROW]."""
    result = feature.reshape(-1, ROW).copy()
    bands = result[:, MELS:] / BAND_WEIGHT
    low = bands.mean(1, keepdims=True) < -VOICED / 2 + LEAST_DB / 20
    result[:, MELS:] = np.where(low, np.minimum(bands + VOICED, LEAST_DB / 10), 0.0)
    return result


@dataclass(frozen=True)
class Quantizer:
    """Turns rows into codes, and codes into rows."""

    mean: np.ndarray  # [PARTS x ROW]
    basis: np.ndarray  # [PARTS x ROW, dims], scaled
    books: np.ndarray  # [books, entries, dims]

    def latents(self, rows: np.ndarray) -> np.ndarray:
        """[frames, dims] float32."""
        latents: NDArray[np.float32] = ((features(rows) - self.mean) @ self.basis).astype(np.float32)
        return latents

    def encode(self, rows: np.ndarray, beam: int = BEAM) -> np.ndarray:
        """Return the codes [frames, books] uint8 of rows."""
        return search(self.latents(rows), self.books, beam)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return the latents of codes."""
        return np.asarray(sum(book[codes[:, index]] for index, book in enumerate(self.books)))

    def rows(self, codes: np.ndarray) -> np.ndarray:
        """Return the rows of codes, for the vocoder."""
        back = (self.basis / (self.basis**2).sum(0)).T
        return to_rows(self.decode(codes) @ back + self.mean).astype(np.float32)

    def save(self, path: Path) -> None:
        np.savez(path, mean=self.mean, basis=self.basis, books=self.books)

    @staticmethod
    def load(path: Path) -> Quantizer:
        held = np.load(path)
        return Quantizer(*(held[name].astype(np.float32) for name in ("mean", "basis", "books")))


def search(points: np.ndarray, books: np.ndarray, beam: int) -> np.ndarray:
    """Return the codes [n, books] of points [n, dims], by a beam search.

    Of all ways to go on from the best `beam`, the best `beam` are kept.
    """
    return np.concatenate(
        [_search(points[at : at + 512], books, beam) for at in range(0, len(points), 512)]
        or [np.zeros((0, len(books)), np.uint8)]
    )


def _search(points: np.ndarray, books: np.ndarray, beam: int) -> np.ndarray:
    count = len(points)
    rest, codes = points[:, None], np.zeros((count, 1, 0), np.uint8)
    for book in books:
        far = (rest**2).sum(2)[:, :, None] + (book**2).sum(1) - 2 * rest @ book.T  # [n, beam, entries]
        far = far.reshape(count, -1)
        best = np.argpartition(far, min(beam, far.shape[1] - 1), axis=1)[:, :beam]
        way, entry = best // len(book), best % len(book)
        lines = np.arange(count)[:, None]
        rest = rest[lines, way] - book[entry]
        codes = np.concatenate([codes[lines, way], entry[:, :, None].astype(np.uint8)], 2)
    best_codes: NDArray[np.uint8] = codes[np.arange(count), (rest**2).sum(2).argmin(1)]
    return best_codes


def fit(rows: np.ndarray, books: int = BOOKS, dims: int = DIMS, rounds: int = 12, seed: int = 0) -> Quantizer:
    """Fit a quantizer to rows [frames x PARTS, ROW]. Each book is fitted to what the ones before leave."""
    draw = np.random.default_rng(seed)
    feature = features(rows)
    mean = feature.mean(0)
    values, vectors = np.linalg.eigh(np.cov(feature.T))
    basis = vectors[:, ::-1][:, :dims] / np.sqrt(values[::-1][:dims].mean())
    points = ((feature - mean) @ basis).astype(np.float32)
    found = np.zeros((0, ENTRIES, dims), np.float32)
    residual = points
    for _ in range(books):
        found = np.concatenate([found, _kmeans(residual, ENTRIES, rounds, draw)[None]])
        residual = residual - found[-1][_nearest(residual, found[-1])]
    return Quantizer(mean.astype(np.float32), basis.astype(np.float32), found)


def make(work: Path, books: int = BOOKS, dims: int = DIMS, frames: int = FIT_FRAMES) -> None:
    """Write `quantizer.npz`, fitted to the first `frames` frames of the corpus."""
    if (work / "quantizer.npz").exists():
        return
    rows, seen = [], 0
    for _, _, utterance in read(work):
        rows.append(utterance.rows)
        seen += utterance.frames
        if seen >= frames:
            break
    fitted = fit(np.concatenate(rows), books, dims)
    fitted.save(work / "quantizer.npz")
    print(
        f"quantizer: {seen} frames, {distortion(fitted, np.concatenate(rows[: min(len(rows), 100)])):.2f} dB",
        flush=True,
    )


def distortion(fitted: Quantizer, rows: np.ndarray, beam: int = BEAM) -> float:
    """Return the root mean square of the envelope's error in decibels, over mel bands."""
    apart = fitted.rows(fitted.encode(rows, beam))[:, :MELS] - soften(rows)[:, :MELS]
    return float(np.sqrt((apart**2).mean()) * 10 / np.log(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    make(parser.parse_args().work)


if __name__ == "__main__":
    main()
