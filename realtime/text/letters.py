"""Sounds out words that no dictionary has, by the longest known surroundings of each letter.

The table is learned from the bundled dictionary (`python -m training.letters`). A key is a letter with up to `REACH`
letters on either side. Its value is what that letter sounds like there: no, one or several symbols. Only keys whose
value differs from that of the next shorter one are stored.
"""

from __future__ import annotations

import lzma
from functools import cache
from importlib.resources import files

from realtime.text.symbols import PHONES, STRESS, VOWELS

REACH = 4
EDGE = "_"
_VOWELS = frozenset(PHONES[name] for name in VOWELS)


def surroundings(padded: str, at: int, size: int) -> str:
    """Return key number `size` of the letter at `at` in a padded word.

    Key 0 is the letter alone. Each further key takes in one letter more, on the right and on the left by turns.
    """
    right, left = (size + 1) // 2, size // 2
    return f"{padded[at - left : at]}{padded[at].upper()}{padded[at + 1 : at + 1 + right]}"


def pad(word: str) -> str:
    """Add `REACH` edge marks on either side of a word, so that each letter has its full surroundings."""
    return EDGE * REACH + word + EDGE * REACH


@cache
def table() -> dict[str, str]:
    """Return the table: for each key, the symbols that its letter sounds like."""
    packed = (files(__package__) / "letters.xz").read_bytes()
    return dict(line.split(" ", 1) for line in lzma.decompress(packed).decode().split("\n"))


def sound_out(word: str) -> str:
    """Return the symbols of a word of the letters a-z. If it has a vowel, at least one is stressed."""
    rules, padded = table(), pad(word)
    sounds = []
    for at in range(REACH, REACH + len(word)):
        sound = ""
        for size in range(2 * REACH + 1):
            sound = rules.get(surroundings(padded, at, size), sound)
        sounds.append(sound)
    symbols = "".join(sounds)
    if STRESS not in symbols:
        first = next((i for i, symbol in enumerate(symbols) if symbol in _VOWELS), None)
        if first is not None:
            symbols = symbols[:first] + STRESS + symbols[first:]
    return symbols
