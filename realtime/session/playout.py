"""Tells where the listener is in a response: what was sent, what has been played by now, and which words that was.

A clock of the session's playback tells how much was heard. A client that plays by itself may correct the estimate by
truncating.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from realtime.session.playback import PlayoutClock

_WORD = re.compile(r"(?<!\s)\s*+\S+")  # no match begins within a run of spaces, so each is looked at once
_SPEAKER = re.compile(r"\[SPEAKER\d{1,2}\]")


@dataclass(frozen=True)
class Word:
    """Holds a word with the space before it, and where it is said, in seconds.

    The last word of a clause also has the space after it.
    """

    text: str
    start: float
    end: float


@dataclass
class SpokenClause:
    """Holds a piece of the transcript, and the samples in which it is spoken.

    `end` grows until the clause is `whole`. `words` are its words, each with the number of letters before it. The first
    `told` of them were told to the listener; the last of these ends at the sample `told_to`.
    """

    text: str
    start: int
    end: int
    whole: bool = False
    told: int = 0

    def __post_init__(self) -> None:
        self.told_to = float(self.start)
        texts = _WORD.findall(self.text)
        if texts:
            texts[-1] = self.text[self.text.rindex(texts[-1]) :]
        self.words: list[tuple[str, int]] = []
        self.letters = 0
        for text in texts:
            self.words.append((text, self.letters))
            self.letters += _letters(text)


def _letters(word: str) -> int:
    """Count the characters of a word that are spoken: those of a speaker's tag are not."""
    return len(_SPEAKER.sub("", word).strip())


_LETTERS_PER_S = 15.0
"""How fast speech is taken to be, until a clause of the response was made to its end."""


class Playout:
    """Keeps the transcript of one response, spoken at `speed`, and how far its listener is, as `clock` tells it.

    Samples are at `sample_rate`; times are in seconds.
    """

    def __init__(self, sample_rate: int, clock: PlayoutClock, speed: float = 1.0) -> None:
        self._rate = sample_rate
        self._clock = clock
        self._speed = speed
        self.generated = 0
        self.sent = 0
        self.clauses: list[SpokenClause] = []

    def generate(self, samples: int) -> None:
        """Note that `samples` more of the newest clause came from the engine."""
        self.generated += samples
        self.clauses[-1].end = self.generated

    def begin_clause(self, text: str) -> float:
        """Note that the next audio speaks `text`; return where it starts, in seconds."""
        self.clauses.append(SpokenClause(text, self.generated, self.generated))
        return self.generated / self._rate

    def end_clause(self) -> list[Word]:
        """Note that the newest clause has all its audio; return its words that were not told yet."""
        self.clauses[-1].whole = True
        return self._tell(self.clauses[-1])

    def words(self, samples: int) -> list[Word]:
        """Return the words of the newest clause that begin within its next `samples`. Each is returned once."""
        return self._tell(self.clauses[-1], samples)

    def _tell(self, clause: SpokenClause, samples: int | None = None) -> list[Word]:
        words: list[Word] = []
        if clause.told < len(clause.words):
            begins, told, length = float(clause.start), 0, self._length(clause)
            if clause.whole:  # its length is known now, so the words that are left share what is left of it
                begins, told = min(clause.told_to, clause.end), clause.words[clause.told][1]
                length = clause.end - begins
            per_letter = length / max(1, clause.letters - told)
            for text, before in clause.words[clause.told :]:
                start = begins + (before - told) * per_letter
                if samples is not None and before and start >= clause.end + samples:
                    break
                clause.told_to = start + _letters(text) * per_letter
                words.append(Word(text, round(start / self._rate, 3), round(clause.told_to / self._rate, 3)))
                clause.told += 1
        if samples is None and not clause.words and clause.text and not clause.told:
            clause.told = 1
            words.append(Word(clause.text, round(clause.start / self._rate, 3), round(clause.end / self._rate, 3)))
        return words

    @property
    def left(self) -> int:
        """Return how many samples have left for good, and cannot be taken back."""
        return self._clock.left

    @property
    def unsent_s(self) -> float:
        """Return how many seconds of speech were generated and have not left."""
        return (self.generated - self._clock.left) / self._rate

    def send(self, samples: int, now: float) -> None:
        """Note that `samples` more were handed to whoever plays them."""
        self.sent += samples
        self._clock.send(samples, now)

    def play(self, samples: int) -> None:
        """Note that whoever plays reports `samples` more as played."""
        self._clock.play(samples)

    def lead(self, now: float) -> float:
        """Tell how many seconds the listener still has to play, counting what is generated and has not left."""
        return self._clock.unplayed_s(now) + self.unsent_s

    def played(self, now: float) -> int:
        """Tell how many samples were heard by now."""
        return self._clock.played(now)

    def played_text(self, samples: int) -> str:
        """Return the words spoken in the first `samples`. A word counts once it is spoken whole."""
        heard = []
        for clause in self.clauses:
            if clause.whole and clause.end <= samples:
                heard.append(clause.text)
            elif clause.start < samples:
                limit = (samples - clause.start) / self._length(clause) * max(1, clause.letters)
                heard += [text for text, before in clause.words if before + _letters(text) <= limit]
        return "".join(heard)

    def _length(self, clause: SpokenClause) -> float:
        """Return how many samples a clause takes.

        A clause that is not whole is taken to go on at the pace of the whole ones before it.
        """
        if clause.whole:
            return clause.end - clause.start
        known = [other for other in self.clauses if other.whole and other.end > other.start and other.letters]
        letters = sum(other.letters for other in known)
        per_letter = (
            sum(other.end - other.start for other in known) / letters
            if letters
            else self._rate / (_LETTERS_PER_S * self._speed)
        )
        return max(clause.end - clause.start, clause.letters * per_letter, 1.0)
