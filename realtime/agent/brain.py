"""Defines a brain: given the dialogue, it decides what to say and streams the text of the next response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable


class NothingToSay(Exception):
    """Says that there is no answer to this dialogue; the message tells the client why."""


class BrainFailure(Exception):
    """Says that the brain cannot give the answer, or the rest of it.

    `code` and `message` are for the client: they name what to look at, and no secret. `spoken` is said to the user,
    after what was said before; empty: nothing is.
    """

    def __init__(self, code: str, message: str, spoken: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.spoken = spoken


@dataclass(frozen=True)
class Said:
    """Holds one message of the dialogue.

    `text` holds its words: as written, as transcribed, or those of an assistant's speech that were heard. `cut_short`
    says that the listener did not hear it to its end. `audio` is the user's recording (16-bit mono PCM at 24 kHz), for
    a brain that understands speech itself; it is None where there is no recording or it is no longer kept.
    """

    role: Literal["system", "user", "assistant"]
    text: str
    item_id: str = ""
    cut_short: bool = False
    audio: bytes | None = None


@dataclass(frozen=True)
class FunctionCall:
    """Calls one of the client's functions: as a brain asks for it, or as it stands in the dialogue.

    `arguments` is a JSON text. `call_id` is what its output refers to; a brain may leave it empty, then one is made.
    """

    name: str
    arguments: str
    call_id: str = ""
    item_id: str = ""


@dataclass(frozen=True)
class FunctionOutput:
    """Holds what a function returned for the call `call_id`."""

    call_id: str
    output: str
    item_id: str = ""


Entry = Said | FunctionCall | FunctionOutput


@dataclass(frozen=True)
class Dialogue:
    """Holds what a brain has to answer: the entries, oldest first.

    `instructions` are the session's. `tools` are JSON schemas of the functions that the client can be asked to call.
    `tool_choice` says which of them may be called: "auto", "none", "required" or a name. `spoken` says that
    the answer will be spoken, not read.
    """

    entries: tuple[Entry, ...]
    instructions: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = "auto"
    spoken: bool = True


class Brain(Protocol):
    """Decides what one side of a dialogue says.

    `answers_turns` says that it understands what a user has said (`Said.audio`, or a transcript): the end of a user's
    turn then asks for a response by itself, unless the client does not want that. `needs_transcripts` says that it
    reads the words of a turn and does not listen to it: it is asked once they are known.
    """

    @property
    def answers_turns(self) -> bool: ...

    @property
    def needs_transcripts(self) -> bool: ...

    def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        """Stream the next response: pieces of text, and function calls. Raises NothingToSay when there is no answer,
        and BrainFailure when it cannot be given.

        The stream is closed as soon as nobody wants to hear more.
        """


@runtime_checkable
class SessionBrains(Protocol):
    """Gives each session a brain of its own: what a brain is that keeps something of each.

    `end` is called on what `begin_session` gives when its session is over, and `close` when the server stops.
    """

    def begin_session(self) -> SessionBrain: ...

    async def close(self) -> None: ...


class SessionBrain(Brain, Protocol):
    """Answers in one session, and is told when that is over."""

    def end(self) -> None: ...


class Reader:
    """Speaks the text that the user wrote last, for as long as no language model is attached.

    It does not understand speech, so the end of a user's turn does not ask it for a response.
    """

    answers_turns = False
    needs_transcripts = False

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        """Yield the last words that a user wrote. Raises NothingToSay when there are none that can be spoken."""
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
