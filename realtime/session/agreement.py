"""Which words of a transcript are sure while somebody still speaks: those that two passes in a row agree on.

Words that were told cannot be taken back on the wire, so they are only ever added to. (Local agreement: Liu et al.,
"Low-Latency Sequence-to-Sequence Speech Recognition", Interspeech 2020.)
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\s*\S+")


class Agreement:
    """The sure words of one turn."""

    def __init__(self) -> None:
        self._before: list[str] = []
        self._told: list[str] = []

    def push(self, text: str) -> str:
        """Take the next pass over the whole turn so far; returns the words that are sure by now and were not told."""
        words = _WORD.findall(text)
        agreed = 0
        for word, other in zip(words, self._before, strict=False):
            if _bare(word) != _bare(other):
                break
            agreed += 1
        self._before = words
        return self._tell(words, agreed)

    def finish(self, text: str) -> str:
        """Take the transcript of the whole turn; returns the words after those that were told, if they were right."""
        words = _WORD.findall(text)
        return self._tell(words, len(words))

    def _tell(self, words: list[str], sure: int) -> str:
        told = len(self._told)
        if list(map(_bare, words[:told])) != list(map(_bare, self._told)):
            return ""  # the transcript is another by now; its end says how it really was
        more = words[told:sure]
        self._told += more
        return "".join(more)


def _bare(word: str) -> str:
    """A word as it sounds: passes differ in case and punctuation long before they differ in words."""
    return "".join(filter(str.isalnum, word)).casefold()
