"""Cutting text into clauses while it streams in: one clause is one utterance of the model.

Pure and incremental. Joined in order, the clauses' texts are the input, character for character. A clause ends at the
end of a sentence or a line, earlier where it grows too long, and never mixes speakers: what follows a speaker tag
carries the tag on, so that every clause says who speaks. However the text arrives, the clauses are the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# possessive, and never begun within a run of marks: a thousand dots are looked at once, not a thousand times
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
    """`text` is the piece of the input; `spoken` is what the model is given (speaker tag carried on, trimmed)."""

    text: str
    spoken: str

    @property
    def audible(self) -> bool:
        """There is a word in it."""
        return any(character.isalnum() for character in self.spoken)


class ClauseSplitter:
    """Give it text with `push`, the rest with `flush`. `max_chars` bounds a clause, `min_chars` joins short sentences
    (the first clause of a response may be shorter, so that speech starts early)."""

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
        """Clauses that are complete now."""
        self._buffer += text
        return self._cut(final=False)

    def flush(self) -> list[Clause]:
        """Everything left, as clauses."""
        clauses = self._cut(final=True)
        if self._buffer:
            clauses.append(self._clause(len(self._buffer)))
        return clauses

    @property
    def pending(self) -> int:
        """Characters that wait for the end of their sentence."""
        return len(self._buffer)

    def release(self) -> list[Clause]:
        """The words that wait, as a clause, without a last word that may still be growing: for text that has stopped
        coming."""
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
        """Where the next clause ends, or None to wait for more text."""
        text = self._buffer
        turn = self._next_speaker(text)
        reach = len(text) if turn is None else turn
        minimum = self._min if self._started else self._first_min
        for match in _SENTENCE_END.finditer(text, 0, min(reach, self._max + 2)):
            end = match.end()
            if end > self._max:
                break
            if end >= minimum and not _ABBREVIATION.search(text[max(0, end - _LONGEST_ABBREVIATION) : end]):
                # the space that showed the end of a sentence belongs to it
                return end if text[end - 1] in "。！？\n" else end + 1
        if turn is not None and turn <= self._max:
            return turn
        if reach > self._max and (final or turn is not None or len(text) >= self._max + _LONGEST_TAG):
            return self._soft_boundary(text)
        return reach if final and text and turn is None else None

    def _soft_boundary(self, text: str) -> int:
        """The best place to cut within `max_chars`: a short sentence's end, a pause, a space, or anywhere."""
        head = text[: self._max]
        for pattern in (_SENTENCE_END, _SOFT_BREAK):
            ends = [m.end() for m in pattern.finditer(text, 0, self._max) if m.end() <= self._max]
            ends = [end for end in ends if end >= self._max // 3]
            if ends:
                return ends[-1]
        space = head.rfind(" ", self._max // 3)
        return space + 1 if space > 0 else self._max

    def _next_speaker(self, text: str) -> int | None:
        """Where somebody else starts to speak, if within reach; a tag at the very beginning is the clause's own."""
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
