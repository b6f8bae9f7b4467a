"""Where the listener is in a response: what was sent, what has been played by now, and which words that was.

The listener starts to play with the first audio, plays in real time, and waits when it runs dry. A client that owns its
playout may correct the estimate by truncating.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SpokenClause:
    """A piece of the transcript and the samples it was spoken in; `end` grows until it is `whole`."""

    text: str
    start: int
    end: int
    whole: bool = False


_LETTERS_PER_S = 15.0
"""How fast speech goes, until a clause was heard to its end."""


class Playout:
    """Clock and transcript of one response. Samples at `sample_rate`; time in seconds."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._empties_at = 0.0
        self.generated = 0
        self.sent = 0
        self.clauses: list[SpokenClause] = []

    def generate(self, samples: int) -> None:
        """Audio of the newest clause came from the engine."""
        self.generated += samples
        self.clauses[-1].end = self.generated

    def begin_clause(self, text: str) -> float:
        """The next audio speaks `text`; returns where it starts, in seconds."""
        self.clauses.append(SpokenClause(text, self.generated, self.generated))
        return self.generated / self._rate

    def end_clause(self) -> None:
        """The newest clause has all its audio."""
        if self.clauses:
            self.clauses[-1].whole = True

    def send(self, samples: int, now: float) -> None:
        """Audio went out to the listener."""
        self.sent += samples
        self._empties_at = max(self._empties_at, now) + samples / self._rate

    def lead(self, now: float) -> float:
        """Seconds the listener still has to play, counting what is generated and not sent."""
        return max(0.0, self._empties_at - now) + (self.generated - self.sent) / self._rate

    def played(self, now: float) -> int:
        """Samples heard by now."""
        return max(0, self.sent - round(max(0.0, self._empties_at - now) * self._rate))

    def heard_text(self, samples: int) -> str:
        """The words spoken in the first `samples`; words count once they are spoken whole."""
        heard = []
        for clause in self.clauses:
            if clause.whole and clause.end <= samples:
                heard.append(clause.text)
            elif clause.start < samples:
                heard.append(_words_within(clause.text, (samples - clause.start) / self._length(clause)))
        return "".join(heard)

    def _length(self, clause: SpokenClause) -> float:
        """Samples a clause takes; one cut off while it was spoken would have gone on at the pace so far."""
        if clause.whole:
            return clause.end - clause.start
        known = [other for other in self.clauses if other.whole and other.end > other.start and other.text.strip()]
        letters = sum(len(other.text.strip()) for other in known)
        per_letter = (
            sum(other.end - other.start for other in known) / letters if letters else self._rate / _LETTERS_PER_S
        )
        return max(clause.end - clause.start, len(clause.text.strip()) * per_letter, 1.0)


def _words_within(text: str, share: float) -> str:
    """Whole words at the beginning of `text` that take up to `share` of its letters."""
    limit, end, at = share * len(text.strip()), 0, 0
    lead = len(text) - len(text.lstrip())
    for word in text.split():
        at = text.index(word, at)
        if at + len(word) - lead > limit:
            break
        at += len(word)
        end = at
    return text[:end]
