"""The server's own tools, as a brain uses them: what is offered to the model, and what comes of a call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from realtime.agent.brain import FunctionCall
from realtime.agent.chat.messages import Message

MOST_STEPS = 8
"""How often a model may call tools within one answer."""


class Tools(Protocol):
    """Holds tools that run on the server."""

    def begin(self) -> None:
        """Make the tools ready, in the background. May be called again and again."""

    async def offered(self) -> Sequence[dict[str, Any]]:
        """Give the tools that can be called now, as functions of OpenAI's chat format."""

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        """Call a tool, and give what the model is told of it. Never raises but for cancellation."""

    async def close(self) -> None:
        """End the tools: the server stops."""


class NoTools:
    """Offers nothing."""

    def begin(self) -> None: ...

    async def offered(self) -> Sequence[dict[str, Any]]:
        return ()

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        return f"There is no tool {name!r}."

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Filler:
    """Says `text` to whoever waits for a tool for more than `after_s` seconds; without text nothing."""

    text: str = ""
    after_s: float = 1.5


async def called(tools: Tools, calls: Sequence[FunctionCall], filler: Filler) -> AsyncGenerator[str | list[str]]:
    """Call tools at the same time: gives the filler where they are slow, and at last their outputs, in order."""
    running = asyncio.gather(*(tools.call(call.name, json.loads(call.arguments)) for call in calls))
    try:
        if filler.text:
            await asyncio.wait({running}, timeout=filler.after_s)
            if not running.done():
                yield f"{filler.text} "
        yield list(await running)
    finally:
        running.cancel()


def exchange(said: str, calls: Sequence[FunctionCall], outputs: Sequence[str]) -> list[Message]:
    """Give the messages of calls and what came of them."""
    asked = [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    told = [
        {"role": "tool", "tool_call_id": call.call_id, "content": output}
        for call, output in zip(calls, outputs, strict=True)
    ]
    return [{"role": "assistant", "content": said or None, "tool_calls": asked}, *told]
