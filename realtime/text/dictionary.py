"""Reads the bundled pronouncing dictionary, once, on first use."""

from __future__ import annotations

import lzma
from functools import cache
from importlib.resources import files


@cache
def entries() -> dict[str, str]:
    """Return the dictionary: for each lower-case word, its symbols in the notation of `symbols`."""
    packed = (files(__package__) / "dictionary.xz").read_bytes()
    return dict(line.split(" ", 1) for line in lzma.decompress(packed).decode().split("\n"))


def dictionary_words() -> list[str]:
    """List the dictionary's words of 3 to 12 letters that have nothing but letters, in alphabetical order."""
    return [word for word in entries() if word.isalpha() and 3 <= len(word) <= 12]
