"""Bounds how long a text may take to say, for a voice which never finds its own end."""

from __future__ import annotations

import math

_LETTER_S = 0.085
_DIGIT_S = 0.45
_PAUSE_S = 0.35
_MARGIN_S = 1.0
_FACTOR = 2.0


def spoken_seconds(text: str) -> float:
    """Guess generously how many seconds `text` takes to say. Digits count as words, punctuation as pauses."""
    digits = sum(character.isdigit() for character in text)
    pauses = sum(character in ".,;:!?…\n" for character in text)
    others = len(text) - digits - pauses
    wide = sum(ord(character) > 0x2E80 for character in text)  # ideographs and kana: about a syllable each
    return (others - wide) * _LETTER_S + wide * 0.3 + digits * _DIGIT_S + pauses * _PAUSE_S


def frame_cap(text: str, frame_rate: float) -> int:
    """Return how many frames an utterance of `text` may have at most: twice the guess and a second."""
    return math.ceil((_FACTOR * spoken_seconds(text) + _MARGIN_S) * frame_rate)
