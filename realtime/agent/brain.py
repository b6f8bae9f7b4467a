"""Who decides what to say: given the dialogue, a brain streams the text of the next response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class NothingToSay(Exception):
    """There is no answer to this dialogue; the message tells the client why."""


class Brain(Protocol):
    """Anything that can hold up one side of a dialogue."""

    def reply(self, said: list[tuple[str, str]]) -> AsyncIterator[str]:
        """Text of the next response, in pieces. `said` is the dialogue, oldest first: (role, words)."""


class Reader:
    """Speaks what the user wrote last: the model's own contract, for as long as no language model is attached."""

    async def reply(self, said: list[tuple[str, str]]) -> AsyncIterator[str]:
        text = next((words for role, words in reversed(said) if role == "user" and words), None)
        if text is None:
            raise NothingToSay("There is nothing to speak: create a user item with input_text first.")
        yield text
