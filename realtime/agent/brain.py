"""Who decides what to say: given the dialogue, a brain streams the text of the next response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol


class NothingToSay(Exception):
    """There is no answer to this dialogue; the message tells the client why."""


@dataclass(frozen=True)
class Dialogue:
    """What a brain answers. `said` is (role, words), oldest first; the roles are system, user, assistant, and for
    functions call (`name(arguments)`) and call_output. `tools` are JSON schemas of what the client can be asked to
    do, `tool_choice` which of them: "auto", "none", "required" or a name."""

    said: list[tuple[str, str]]
    instructions: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = "auto"


@dataclass(frozen=True)
class FunctionCall:
    """A brain asks the client to call one of its functions; `arguments` is JSON."""

    name: str
    arguments: str


class Brain(Protocol):
    """Anything that can hold up one side of a dialogue."""

    def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        """The next response: text in pieces, and calls."""


class Reader:
    """Speaks what the user wrote last: the model's own contract, for as long as no language model is attached."""

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        text = next((words for role, words in reversed(dialogue.said) if role == "user" and words), None)
        if text is None:
            explained = "no language model is attached, so a response speaks the last user text"
            raise NothingToSay(f"There is nothing to speak: {explained}; create a user item with input_text first.")
        if not any(character.isalnum() for character in text):
            raise NothingToSay("The last user text has no word to speak; send letters or digits.")
        yield text
