"""Who decides what to say: given the dialogue, a brain streams the text of the next response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol


class NothingToSay(Exception):
    """There is no answer to this dialogue; the message tells the client why."""


@dataclass(frozen=True)
class Said:
    """A message of the dialogue.

    `text` are its words: written, transcribed, or of an assistant's speech those that were heard. `cut_short` says that
    the listener did not hear it to its end. `audio` is the user's recording (16-bit mono PCM at 24 kHz), where there is
    one and it is still kept: for a brain that understands speech itself.
    """

    role: Literal["system", "user", "assistant"]
    text: str
    item_id: str = ""
    cut_short: bool = False
    audio: bytes | None = None


@dataclass(frozen=True)
class FunctionCall:
    """A call of one of the client's functions, as a brain asks for it or as it stands in the dialogue.

    `arguments` is a JSON text. `call_id` is what its output refers to; a brain may leave it empty, then one is made.
    """

    name: str
    arguments: str
    call_id: str = ""
    item_id: str = ""


@dataclass(frozen=True)
class FunctionOutput:
    """What a function gave for the call `call_id`."""

    call_id: str
    output: str
    item_id: str = ""


Entry = Said | FunctionCall | FunctionOutput


@dataclass(frozen=True)
class Dialogue:
    """What a brain answers: the entries, oldest first, and how.

    `instructions` are the session's. `tools` are JSON schemas of what the client can be asked to do, `tool_choice`
    which of them: "auto", "none", "required" or a name.
    """

    entries: tuple[Entry, ...]
    instructions: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = "auto"


class Brain(Protocol):
    """Anything that can hold up one side of a dialogue.

    `answers_turns` says that it understands what a user has said (`Said.audio`, or a transcript): the end of a user's
    turn then asks for a response by itself, unless the client does not want that. `needs_transcripts` says that it
    reads the words of a turn and does not listen to it: it is asked once they are known.
    """

    @property
    def answers_turns(self) -> bool: ...

    @property
    def needs_transcripts(self) -> bool: ...

    def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        """Stream the next response: text in pieces, and calls. Raises NothingToSay where there is none.

        It is closed as soon as nobody wants to hear more.
        """


class Reader:
    """Speaks what the user wrote last: the model's own contract, for as long as no language model is attached.

    It does not understand what is said, so a turn of the user's asks it for nothing by itself.
    """

    answers_turns = False
    needs_transcripts = False

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        """Give the last words that a user wrote. Raises NothingToSay when there are none that can be spoken."""
        written = (
            entry.text for entry in reversed(dialogue.entries) if isinstance(entry, Said) and entry.role == "user"
        )
        text = next(filter(None, written), None)
        if text is None:
            explained = "no language model is attached, so a response speaks the last user text"
            raise NothingToSay(f"There is nothing to speak: {explained}; create a user item with input_text first.")
        if not any(character.isalnum() for character in text):
            raise NothingToSay("The last user text has no word to speak; send letters or digits.")
        yield text
