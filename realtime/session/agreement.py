"""Finds the words of a transcript that are sure while the user still speaks: those that two passes in a row agree on.

Words that the client was told cannot be taken back on the wire, so they are only ever added to. (Local agreement: Liu
et al., "Low-Latency Sequence-to-Sequence Speech Recognition", Interspeech 2020.)
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\s*\S+")


class Agreement:
    """Collects the sure words of one turn."""

    def __init__(self) -> None:
        self._before: list[str] = []
        self._told: list[str] = []

    def push(self, text: str) -> str:
        """Take the transcript of the turn so far; return the words that are sure now and were not returned before.

        It returns nothing while the transcript does not begin with the words that were returned before.
        """
        words = _WORD.findall(text)
        agreed = 0
        for word, other in zip(words, self._before, strict=False):
            if _bare(word) != _bare(other):
                break
            agreed += 1
        self._before = words
        return self._tell(words, agreed)

    def finish(self, text: str) -> str:
        """Take the transcript of the whole turn; return its words after those that `push` has returned.

        It returns nothing if the transcript does not begin with those.
        """
        words = _WORD.findall(text)
        return self._tell(words, len(words))

    def _tell(self, words: list[str], sure: int) -> str:
        told = len(self._told)
        if list(map(_bare, words[:told])) != list(map(_bare, self._told)):
            return ""  # what was told turned out wrong; the transcript of the whole turn corrects it
        more = words[told:sure]
        self._told += more
        return "".join(more)


def _bare(word: str) -> str:
    """Return the letters and digits of a word, without their case: passes that agree on a word may differ in the
    rest.
    """
    return "".join(filter(str.isalnum, word)).casefold()
