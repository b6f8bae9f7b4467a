"""What the rules are asked: the last turn of the user's, and what was said before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from realtime.agent.brain import Dialogue, Said
from realtime.agent.rules.numbers import with_digits
from realtime.agent.rules.words import without_courtesies, words_of

_LOOKED_AT = 400
"""Characters of a turn that are looked at: what is longer is no question for rules."""


@dataclass(frozen=True)
class Question:
    """Holds the last turn of the user's.

    `text` is as it was said, `now` the time where the server runs. `words` are all of its words in plain form, and
    `asked` those of the question without greetings and courtesies, each as one line.
    """

    text: str
    dialogue: Dialogue
    now: datetime

    @cached_property
    def all_words(self) -> list[str]:
        return words_of(self.text[:_LOOKED_AT])

    @cached_property
    def words(self) -> str:
        return " ".join(self.all_words)

    @cached_property
    def asked(self) -> str:
        return " ".join(without_courtesies(self.all_words))

    @cached_property
    def counted(self) -> str:
        """What is asked, with every number in digits."""
        return " ".join(with_digits(self.asked.split()))

    def said_by(self, role: str) -> list[Said]:
        """Give the messages of the user or the assistant that have words, newest first; of the user's without this
        turn."""
        said = [entry for entry in reversed(self.dialogue.entries) if isinstance(entry, Said) and entry.role == role]
        return [entry for entry in (said[1:] if role == "user" else said) if entry.text.strip()]
