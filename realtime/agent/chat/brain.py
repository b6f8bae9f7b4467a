"""The brain over a chat endpoint: what is asked, for each session with its own memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import chain
from typing import Any

from realtime.agent.brain import BrainFailure, Dialogue, FunctionCall, NothingToSay, Said
from realtime.agent.chat.endpoint import Endpoint
from realtime.agent.chat.memory import Memory
from realtime.agent.chat.messages import Message, chars_of, groups_of, shortened, tools_of
from realtime.agent.chat.tools import MOST_STEPS, Filler, NoTools, Tools, called, exchange
from realtime.agent.speakable import Speakable

_SUMMARISE = (
    "You keep the minutes of a conversation. Give one short summary, in plain sentences and in the language of the "
    "conversation, of everything that later turns may need: names, numbers, wishes, decisions, results, what is still "
    "open. Give the summary alone."
)
_EARLIER = "What was said earlier in this conversation, in short:"


_MOST_EXCHANGES = 64
_TIRELESS = "The language model called tools without end; check its tools and brain_instructions."


class ChatBrain:
    """Answers by a language model behind `endpoint`.

    `instructions` are put before each session's. Of a conversation `context_chars` characters are sent, of which older
    turns are a summary. `apology` is said where no answer can be given. `tools` run on the server; `filler` is said
    while they are slow.
    """

    answers_turns = True
    needs_transcripts = True

    def __init__(
        self,
        endpoint: Endpoint,
        instructions: str = "",
        apology: str = "",
        context_chars: int = 12_000,
        tools: Tools | None = None,
        filler: Filler | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._instructions = instructions
        self._apology = apology
        self._context_chars = context_chars
        self._tools = tools or NoTools()
        self._filler = filler or Filler()

    def begin_session(self) -> ChatSession:
        """Give the brain of one session."""
        self._tools.begin()
        return ChatSession(
            self._endpoint, self._instructions, self._apology, self._context_chars, self._tools, self._filler
        )

    def reply(self, dialogue: Dialogue) -> AsyncGenerator[str | FunctionCall]:
        """Answer a dialogue by itself, with no memory of it."""
        return self.begin_session().reply(dialogue)

    async def close(self) -> None:
        """Close the connections to the endpoint, and end the tools."""
        await self._endpoint.close()
        await self._tools.close()


class ChatSession:
    """Answers in one session, with a memory of its own."""

    answers_turns = True
    needs_transcripts = True

    def __init__(
        self, endpoint: Endpoint, instructions: str, apology: str, context_chars: int, tools: Tools, filler: Filler
    ) -> None:
        self._endpoint = endpoint
        self._instructions = instructions
        self._apology = apology
        self._context_chars = context_chars
        self._memory = Memory(context_chars, self._summarised)
        self._tools = tools
        self._filler = filler
        self._exchanges: dict[str, list[Message]] = {}  # with tools, by the item that they followed

    async def reply(self, dialogue: Dialogue) -> AsyncGenerator[str | FunctionCall]:
        """Stream the answer. Raises NothingToSay where the last turn has no words, and BrainFailure."""
        last = dialogue.entries[-1] if dialogue.entries else None
        if isinstance(last, Said) and last.role == "user" and not last.text.strip():
            raise NothingToSay("The user's last turn has no words to answer; send text, or audio with its transcript.")
        speech = Speakable() if dialogue.spoken else None
        try:
            async with contextlib.aclosing(self._steps(dialogue)) as pieces:
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
        finally:
            self._memory.rest()
        if speech is not None and (rest := speech.flush()):
            yield rest

    async def _steps(self, dialogue: Dialogue) -> AsyncGenerator[str | FunctionCall]:
        """Ask, call the server's tools that the answer wants, and ask again with what came of them."""
        offer = tools_of(dialogue, await self._tools.offered())
        theirs = {tool.get("name") for tool in dialogue.tools}
        messages, spoke, room = self._messages(dialogue), False, self._context_chars
        for _ in range(MOST_STEPS):
            said, calls, handed_on = "", list[FunctionCall](), False
            async with contextlib.aclosing(self._endpoint.stream({"messages": messages, **offer})) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        said += piece
                        yield piece
                    elif piece.name in theirs or not self._is_ours(piece.name, offer):
                        handed_on = True
                        yield piece
                    else:
                        calls.append(
                            piece if piece.call_id else replace(piece, call_id=f"call_{len(messages)}_{len(calls)}")
                        )
            if not calls:
                return
            spoke = spoke or bool(said.strip())
            silent = self._filler if dialogue.spoken and not spoke else Filler()
            async with contextlib.aclosing(called(self._tools, calls, silent)) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, str):
                        spoke = True
                        yield outcome
                    else:
                        outputs = [shortened(output, room // (2 * len(calls))) for output in outcome]
                        room -= sum(map(len, outputs))
                        told = exchange(said, calls, outputs)
            messages = [*messages, *told]
            self._remember(dialogue, told)
            if handed_on:
                return  # the client's outputs ask for the next answer
            if offer["tool_choice"] != "none":
                offer = {**offer, "tool_choice": "auto"}
            if spoke:
                yield " "
        raise BrainFailure("brain_failed", _TIRELESS)

    @staticmethod
    def _is_ours(name: str, offer: Message) -> bool:
        return any(tool["function"]["name"] == name for tool in offer.get("tools", ()))

    def _remember(self, dialogue: Dialogue, told: list[Message]) -> None:
        """Keep an exchange with tools, for the requests to come."""
        if dialogue.entries and (item_id := dialogue.entries[-1].item_id):
            self._exchanges.setdefault(item_id, []).extend(told)
            while len(self._exchanges) > 1 and (
                len(self._exchanges) > _MOST_EXCHANGES
                or sum(map(chars_of, chain(*self._exchanges.values()))) > self._context_chars
            ):
                del self._exchanges[next(iter(self._exchanges))]

    def end(self) -> None:
        """Stop what is under way in the background: the session is over."""
        self._memory.end()

    def _messages(self, dialogue: Dialogue) -> list[Message]:
        context = self._memory.context(groups_of(dialogue.entries, self._exchanges))
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
