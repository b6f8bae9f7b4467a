"""Stands in for the teacher without weights and packages: every phone hums a spectrum of its own.

It is for `--tiny` and the tests. Its speech cannot be understood.
"""

from __future__ import annotations

import numpy as np

from realtime.text.symbols import PHONES, STRESS, VOWELS
from training.voice import phase
from training.voice.rows import MELS, ROW
from training.voice.utterance import Utterance, silence_pitch, trimmed

ROWS = {True: 9, False: 6}  # ten milliseconds of a vowel and of another phone
QUIET = -14.0
PAUSE_ROWS = 12

_VOWELS = frozenset(PHONES[name] for name in VOWELS)
_VOICED = _VOWELS | frozenset("bdðɡʤlmnŋɹvwjzʒ")


class StandIn:
    """Says any notation, by any speaker."""

    def say(self, notation: str, speaker: str) -> Utterance:
        high = 1.6 if speaker.startswith("af") else 1.0
        rows, counts = [], []
        for sign in notation:
            if sign in PHONES.values():
                rows.append(np.repeat(_sound(sign)[None], ROWS[sign in _VOWELS], 0))
            elif sign in ",.?!":
                rows.append(np.full((PAUSE_ROWS, ROW), QUIET) * (np.arange(ROW) < MELS))
            else:
                rows.append(np.zeros((0, ROW)))
            counts.append(len(rows[-1]))
        table = np.concatenate(rows)
        table = np.stack([np.convolve(column, np.ones(3) / 3, "same") for column in table.T], 1)
        rise = 0.2 if notation.rstrip().endswith("?") else -0.2
        values = 2 * len(table) + 1
        f0 = 110.0 * high * np.exp(rise * np.linspace(-0.5, 0.5, values))
        return trimmed(notation, table, silence_pitch(table, f0), np.array(counts) * 2 * phase.F0_STEP_S)


def _sound(phone: str) -> np.ndarray:
    """Return one row, with three resonances where the number of the phone puts them."""
    draw = np.random.default_rng(ord(phone))
    mels = np.full(MELS, -12.0)
    for low, high in ((2, 12), (10, 24), (20, 34)):
        mels += 6.0 * np.exp(-(((np.arange(MELS) - draw.uniform(low, high)) / 2.5) ** 2))
    bands = [-3.0, -2.0, -1.0] if phone in _VOICED and phone != STRESS else [0.0, 0.0, 0.0]
    return np.concatenate([mels, bands])
