"""What tells a text that was heard from one that Whisper made up, or said again and again. Pure.

The bounds were found on recordings of people, on silence, noise and music: `voiced bench ears` measures what they do.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

_REPEATED_TOKENS = 4
_AGAIN_COMPRESSION, _AGAIN_COMPRESSION_LONG = 1.6, 2.0
_LONG_CHARS = 200
"""The longer a text, the more it compresses: one of 28 s of speech by 1.7, without saying anything twice."""
_AGAIN_LOGPROB = -1.0
_MADE_UP_COMPRESSION = 2.4
_MADE_UP_LOGPROB = -2.0
_NO_SPEECH = ((0.6, -0.5), (0.4, -0.9))
"""Probabilities of no speech, and how little a text may be doubted to count all the same."""
_SURELY_NO_SPEECH = (0.8, -0.5)


def compression_ratio(text: str) -> float:
    """How many times shorter a text becomes when it is compressed: above 2 it repeats itself. 0 of nothing."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if encoded else 0.0


def says_again(tokens: Sequence[int]) -> bool:
    """Whether the end says again what stood just before it, once or more: four repeated tokens in all."""
    count = len(tokens)
    for size in range(1, count // 2 + 1):
        unit, again = tokens[count - size :], 0
        while tokens[count - (again + 2) * size : count - (again + 1) * size] == unit:
            again += 1
            if again * size >= _REPEATED_TOKENS:
                return True
    return False


def needs_longer_context(tokens: Sequence[int], text: str, logprob: float, no_speech: float) -> bool:
    """Whether a text may be what a context that is too short does: loops, words that the model doubts itself, speech
    that it takes for none."""
    most = _AGAIN_COMPRESSION_LONG if len(text) > _LONG_CHARS else _AGAIN_COMPRESSION
    loops = says_again(tokens) or compression_ratio(text) > most
    return loops or logprob < _AGAIN_LOGPROB or _no_speech(logprob, no_speech)


def _no_speech(logprob: float, no_speech: float) -> bool:
    return any(no_speech > probable and logprob < doubt for probable, doubt in _NO_SPEECH)


def surely_silent(logprob: float, no_speech: float) -> bool:
    """Whether a longer context would be wasted: there is no speech at all. People's speech, also of one syllable, stays
    far below it."""
    probable, doubt = _SURELY_NO_SPEECH
    return no_speech > probable and logprob < doubt


def made_up(text: str, logprob: float, no_speech: float) -> str:
    """Why a text was not heard but made up, as a sentence; empty if it was heard. `logprob` is the mean of its tokens,
    `no_speech` the probability that there was no speech at all."""
    if not any(map(str.isalnum, text)):
        return "There are no words in the audio."
    if _no_speech(logprob, no_speech):
        return "There is no speech in the audio."
    if logprob < _MADE_UP_LOGPROB:
        return "The audio cannot be understood."
    if compression_ratio(text) > _MADE_UP_COMPRESSION:
        return "The audio cannot be understood: its text repeats itself."
    return ""
