"""Cuts text into clauses while it streams in: one clause is one utterance of the model.

Pure and incremental. Joined in order, the clauses' texts are the input, character for character. A clause ends at the
end of a sentence or a line, or earlier where it grows too long. It never mixes speakers: the clauses after a speaker
tag are spoken with that tag, so that every clause says who speaks. However the text arrives, the clauses are the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Quantifiers are possessive and no match begins within a run of marks, so that a thousand dots are looked at once, and
# not a thousand times.
_SENTENCE_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’)\]]*+(?=\s)|[。！？]|\n""")
_SOFT_BREAK = re.compile(r"[,;:—–](?=\s)|[，、；：]|\s-(?=\s)")
_SPEAKER = re.compile(r"\[SPEAKER\d{1,2}\]")
_LONGEST_TAG = len("[SPEAKER00]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'])(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|No|Fig|approx|[A-Z])\.$", re.IGNORECASE
)

_LONGEST_ABBREVIATION = 12


@dataclass(frozen=True)
class Clause:
    """Holds a piece of the input, `text`, and what the model is given for it, `spoken`.

    `spoken` is trimmed, and begins with the tag of its speaker if the text has named one so far.
    """

    text: str
    spoken: str

    @property
    def audible(self) -> bool:
        """Tell whether there is a letter or a digit in `spoken`."""
        return any(character.isalnum() for character in self.spoken)


class ClauseSplitter:
    """Cuts the text that is given to `push`; `flush` cuts what is left at its end.

    `max_chars` bounds a clause. Sentences shorter than `min_chars` are joined with the next one; for the first clause
    `first_min_chars` counts instead, so that speech starts early. Raises ValueError for `max_chars` below 20.
    """

    def __init__(self, max_chars: int = 240, min_chars: int = 40, first_min_chars: int = 12) -> None:
        if max_chars < 20:
            raise ValueError(f"max_chars is {max_chars}; clauses need at least 20 characters")
        self._max = max_chars
        self._min = min(min_chars, max_chars)
        self._first_min = min(first_min_chars, self._min)
        self._buffer = ""
        self._speaker = ""
        self._started = False

    def push(self, text: str) -> list[Clause]:
        """Take more text; return the clauses that are complete now."""
        self._buffer += text
        return self._cut(final=False)

    def flush(self) -> list[Clause]:
        """Return everything left, as clauses."""
        return self._cut(final=True)

    @property
    def pending(self) -> int:
        """Return how many characters wait for the end of their sentence."""
        return len(self._buffer)

    def release(self) -> list[Clause]:
        """Return the words that wait, as at most one clause, when the text has stopped coming.

        A last word that may still be growing is left out.
        """
        end = len(self._buffer.rstrip())
        space = self._buffer.rfind(" ", 0, end)
        cut = len(self._buffer) if end < len(self._buffer) else space + 1
        if cut > self._max:
            cut = self._soft_boundary(self._buffer)
        return [self._clause(cut)] if cut and self._buffer[:cut].strip() else []

    def _cut(self, *, final: bool) -> list[Clause]:
        clauses = []
        while (end := self._boundary(final)) is not None:
            clauses.append(self._clause(end))
        return clauses

    def _boundary(self, final: bool) -> int | None:
        """Return where the next clause ends, or None to wait for more text."""
        text = self._buffer
        turn = self._next_speaker(text)
        reach = len(text) if turn is None else turn
        minimum = self._min if self._started else self._first_min
        for match in _SENTENCE_END.finditer(text, 0, min(reach, self._max + 2)):
            end = match.end()
            if end > self._max:
                break
            if end >= minimum and not _ABBREVIATION.search(text[max(0, end - _LONGEST_ABBREVIATION) : end]):
                # the space after a mark shows that the sentence has ended, and belongs to it
                return end if text[end - 1] in "。！？\n" else end + 1
        if turn is not None and turn <= self._max:
            return turn
        if reach > self._max and (final or turn is not None or len(text) >= self._max + _LONGEST_TAG):
            return self._soft_boundary(text)
        return reach if final and text and turn is None else None

    def _soft_boundary(self, text: str) -> int:
        """Return the best place to cut within `max_chars`: the end of a short sentence, a pause, a space, or anywhere.

        A place in the first third counts as none, so that no clause becomes too short.
        """
        head = text[: self._max]
        for pattern in (_SENTENCE_END, _SOFT_BREAK):
            ends = [m.end() for m in pattern.finditer(text, 0, self._max) if m.end() <= self._max]
            ends = [end for end in ends if end >= self._max // 3]
            if ends:
                return ends[-1]
        space = head.rfind(" ", self._max // 3)
        return space + 1 if space > 0 else self._max

    def _next_speaker(self, text: str) -> int | None:
        """Return where the next speaker's tag begins, or None if there is none within reach.

        A tag at the very beginning is the clause's own, and is passed over.
        """
        own = len(text) - len(text.lstrip())
        for match in _SPEAKER.finditer(text, 0, self._max + _LONGEST_TAG):
            if match.start() > own:
                return match.start()
        return None

    def _clause(self, end: int) -> Clause:
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        spoken = text.strip()
        tag = _SPEAKER.match(spoken)
        if tag:
            self._speaker = tag.group()
        elif self._speaker and spoken:
            spoken = f"{self._speaker} {spoken}"
        self._started = self._started or bool(spoken)
        return Clause(text, spoken)
