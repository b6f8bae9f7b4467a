"""The brain over a chat endpoint: what is asked, for each session with its own memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from realtime.agent.brain import BrainFailure, Dialogue, FunctionCall, NothingToSay, Said
from realtime.agent.chat.endpoint import Endpoint
from realtime.agent.chat.memory import Memory
from realtime.agent.chat.messages import Message, groups_of, tools_of
from realtime.agent.speakable import Speakable

_SUMMARISE = (
    "You keep the minutes of a conversation. Give one short summary, in plain sentences and in the language of the "
    "conversation, of everything that later turns may need: names, numbers, wishes, decisions, results, what is still "
    "open. Give the summary alone."
)
_EARLIER = "What was said earlier in this conversation, in short:"


class ChatBrain:
    """Answers by a language model behind `endpoint`.

    `instructions` are put before each session's. Of a conversation `context_chars` characters are sent, of which older
    turns are a summary. `apology` is said where no answer can be given.
    """

    answers_turns = True
    needs_transcripts = True

    def __init__(
        self, endpoint: Endpoint, instructions: str = "", apology: str = "", context_chars: int = 12_000
    ) -> None:
        self._endpoint = endpoint
        self._instructions = instructions
        self._apology = apology
        self._context_chars = context_chars

    def begin_session(self) -> ChatSession:
        """Give the brain of one session."""
        return ChatSession(self._endpoint, self._instructions, self._apology, self._context_chars)

    def reply(self, dialogue: Dialogue) -> AsyncGenerator[str | FunctionCall]:
        """Answer a dialogue by itself, with no memory of it."""
        return self.begin_session().reply(dialogue)

    async def close(self) -> None:
        """Close the connections to the endpoint."""
        await self._endpoint.close()


class ChatSession:
    """Answers in one session, with a memory of its own."""

    answers_turns = True
    needs_transcripts = True

    def __init__(self, endpoint: Endpoint, instructions: str, apology: str, context_chars: int) -> None:
        self._endpoint = endpoint
        self._instructions = instructions
        self._apology = apology
        self._memory = Memory(context_chars, self._summarised)

    async def reply(self, dialogue: Dialogue) -> AsyncGenerator[str | FunctionCall]:
        """Stream the answer. Raises NothingToSay where the last turn has no words, and BrainFailure."""
        last = dialogue.entries[-1] if dialogue.entries else None
        if isinstance(last, Said) and last.role == "user" and not last.text.strip():
            raise NothingToSay("The user's last turn has no words to answer; send text, or audio with its transcript.")
        speech = Speakable() if dialogue.spoken else None
        asked = {"messages": self._messages(dialogue), **tools_of(dialogue)}
        try:
            async with contextlib.aclosing(self._endpoint.stream(asked)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, FunctionCall) or speech is None:
                        if speech is not None and (rest := speech.flush()):
                            yield rest
                        yield piece
                    elif text := speech.push(piece):
                        yield text
        except BrainFailure as failure:
            if speech is not None and (rest := speech.flush()):
                yield rest
            apology = "" if failure.code == "brain_output_too_long" else self._apology
            raise BrainFailure(failure.code, failure.message, apology) from None
        if speech is not None and (rest := speech.flush()):
            yield rest

    def end(self) -> None:
        """Stop what is under way in the background: the session is over."""
        self._memory.end()

    def _messages(self, dialogue: Dialogue) -> list[Message]:
        context = self._memory.context(groups_of(dialogue.entries))
        told = [self._instructions, dialogue.instructions]
        if context.summary:
            told.append(f"{_EARLIER}\n{context.summary}")
        system = "\n\n".join(filter(None, map(str.strip, told)))
        messages: list[Message] = [{"role": "system", "content": system}] if system else []
        return [*messages, *(message for group in context.groups for message in group.messages)]

    async def _summarised(self, before: str, said: str) -> str:
        """Have the endpoint summarise what was said, and the summary before it. Raises BrainFailure."""
        told = f"The summary so far: {before}\n\nWhat was said then:\n{said}" if before else said
        messages = [{"role": "system", "content": _SUMMARISE}, {"role": "user", "content": told}]
        asked: dict[str, Any] = {"messages": messages}
        text = ""
        async with contextlib.aclosing(self._endpoint.stream(asked)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    text += piece
        return text.strip()
