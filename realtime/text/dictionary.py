"""The bundled pronouncing dictionary: loaded once, on first use."""

from __future__ import annotations

import lzma
from functools import cache
from importlib.resources import files


@cache
def entries() -> dict[str, str]:
    """Lower-case word to its symbols."""
    packed = (files(__package__) / "dictionary.xz").read_bytes()
    return dict(line.split(" ", 1) for line in lzma.decompress(packed).decode().split("\n"))


def dictionary_words() -> list[str]:
    """Plain words of a length that says something, in alphabetical order."""
    return [word for word in entries() if word.isalpha() and 3 <= len(word) <= 12]
