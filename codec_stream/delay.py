"""Applies the delay pattern, both ways: rows the model draws <-> frames the codec decodes.

Codebook k runs k rows late: in the rows of one utterance, row 0 is all BOS and frame t has its codebook k in row t + 1
+ k. So frame t is complete with row t + K, and by then the K - 1 frames behind it are known in their first K - 1 … 1
codebooks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNKNOWN = -1
"""Stands for a code that is not known yet (or is a stream marker)."""


def delayed_rows(frames: np.ndarray, bos: int, eos: int) -> np.ndarray:
    """Delay frames [T, K] -> rows [T + K + 1, K]: the whole utterance from its all-BOS row to its all-EOS row."""
    count, books = frames.shape
    rows = np.full((count + books + 1, books), eos, dtype=frames.dtype)
    for k in range(books):
        rows[: k + 1, k] = bos
        rows[k + 1 : k + 1 + count, k] = frames[:, k]
    return rows


@dataclass(frozen=True)
class Codes:
    """Holds what the decoder is given: complete frames [n, K], and partial ones [p, K] behind them (UNKNOWN where
    open).
    """

    frames: np.ndarray
    partial: np.ndarray


class DelayBuffer:
    """Takes the delay out of one utterance, row by row. Frames that hold a stream marker are dropped."""

    def __init__(self, num_codebooks: int, num_codes: int) -> None:
        self._books = num_codebooks
        self._codes = num_codes
        self._open = np.full((0, num_codebooks), UNKNOWN, dtype=np.int64)  # frames with rows still to come
        self._ready: list[np.ndarray] = []
        self._rows = 0
        self._finished = False

    @property
    def pending(self) -> int:
        """Return how many complete frames are not taken yet."""
        return len(self._ready)

    def push(self, row: np.ndarray) -> None:
        """Take one drawn row [K]; row 0 (all BOS) is not drawn and not pushed."""
        row = np.where(row < self._codes, row, UNKNOWN)
        self._rows += 1
        self._open = np.vstack((self._open, np.full((1, self._books), UNKNOWN, dtype=np.int64)))
        # row r (the first pushed is 1) carries codebook k of frame r - 1 - k: the k-th open frame from the end
        for k in range(min(self._books, self._rows)):
            self._open[-1 - k, k] = row[k]
        if len(self._open) == self._books:
            frame, self._open = self._open[0], self._open[1:]
            if (frame != UNKNOWN).all():
                self._ready.append(frame)

    def finish(self) -> None:
        """End the utterance: frames that are still open never complete, and no longer serve as look-ahead."""
        self._finished = True

    def take(self, count: int, look_ahead: int) -> Codes:
        """Remove up to `count` complete frames, and return them with up to `look_ahead` frames behind them.

        Look-ahead is made of complete frames that stay, then of partial ones. Partial frames end at the first one whose
        codebook 0 is not a code: nothing behind the end of speech is looked at.
        """
        taken, self._ready = self._ready[:count], self._ready[count:]
        ahead = self._ready[:look_ahead]
        if len(ahead) < look_ahead and not self._finished:
            for frame in self._open[: look_ahead - len(ahead)]:
                if frame[0] == UNKNOWN:
                    break
                ahead.append(frame)
        return Codes(_stacked(taken, self._books), _stacked(ahead, self._books))


def _stacked(frames: list[np.ndarray], books: int) -> np.ndarray:
    return np.stack(frames) if frames else np.full((0, books), UNKNOWN, dtype=np.int64)
