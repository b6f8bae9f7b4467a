"""Prepares written English before a checkpoint reads it: the text front end.

`front_end("normalise")` gives the spoken form in plain letters, for checkpoints that read text. `front_end("phonemes")`
gives the phone notation of `symbols`, for checkpoints trained on it. Both are pure functions of the text, take any
string and never raise.
"""

from __future__ import annotations

from collections.abc import Callable

from realtime.text.dictionary import dictionary_words
from realtime.text.normalise import normalise
from realtime.text.phonemes import to_phonemes

__all__ = ["KINDS", "dictionary_words", "front_end", "normalise", "to_phonemes"]

KINDS: dict[str, Callable[[str], str]] = {"none": str, "normalise": normalise, "phonemes": to_phonemes}


def front_end(kind: str) -> Callable[[str], str]:
    """Return the front end of that name. Raises ValueError for one that does not exist."""
    if kind not in KINDS:
        raise ValueError(f"front end is {kind!r}; it is one of {', '.join(map(repr, KINDS))}.")
    return KINDS[kind]
