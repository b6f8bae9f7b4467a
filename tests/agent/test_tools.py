"""Scope: tools that run on the server: called between two requests, remembered, bounded, and waited for aloud."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from realtime.agent.brain import BrainFailure, Dialogue, FunctionCall, FunctionOutput, Said
from realtime.agent.chat.brain import ChatBrain
from realtime.agent.chat.endpoint import Endpoint
from realtime.agent.chat.tools import MOST_STEPS, Filler
from tests.agent.scripted import DONE, HEAD, Act, chunk, raw, said, scripted

HELLO = Dialogue((Said("user", "How warm is it?", "item_1"),))
THEIRS = {"type": "function", "name": "show", "parameters": {"type": "object"}}


class Thermometer:
    """A tool that takes its time."""

    def __init__(self, takes_s: float = 0.0, says: str = "") -> None:
        self.takes_s = takes_s
        self.says = says
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.left = 0

    def begin(self) -> None: ...

    async def offered(self) -> Sequence[dict[str, Any]]:
        return [{"type": "function", "function": {"name": "measure", "parameters": {"type": "object"}}}]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        self.called.append((name, arguments))
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.left += 1
            raise
        return self.says or f"{20 + arguments.get('room', 0)} degrees"

    async def close(self) -> None: ...


def calling(*calls: tuple[str, str], text: str = "") -> Act:
    pieces = [
        chunk(tool_calls=[{"index": index, "id": f"call_{index}", "function": {"name": name, "arguments": arguments}}])
        for index, (name, arguments) in enumerate(calls)
    ]
    return raw(HEAD, chunk(text), *pieces, chunk(finish="tool_calls"), DONE)


async def test_a_tool_of_the_server_is_called_and_the_answer_goes_on() -> None:
    tools = Thermometer()
    async with scripted(calling(("measure", '{"room": 1}'), ("measure", "")), said("It is warm.")) as script:
        brain = ChatBrain(Endpoint(script.url, "m"), tools=tools)
        dialogue = Dialogue(HELLO.entries, tool_choice="required")
        assert [piece async for piece in brain.reply(dialogue)] == ["It is warm."]
        await brain.close()
    assert tools.called == [("measure", {"room": 1}), ("measure", {})]
    first, second = script.asked
    assert (first["tool_choice"], second["tool_choice"]) == ("required", "auto")
    assert second["tools"] == first["tools"]
    assert second["messages"][:-3] == first["messages"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [message["content"] for message in second["messages"][2:]] == ["21 degrees", "20 degrees"]


async def test_what_tools_gave_stays_in_the_conversation() -> None:
    async with scripted(calling(("measure", "{}")), said("Warm."), said("As I said.")) as script:
        brain = ChatBrain(Endpoint(script.url, "m"), tools=Thermometer())
        session = brain.begin_session()
        [piece async for piece in session.reply(HELLO)]
        later = (*HELLO.entries, Said("assistant", "Warm.", "item_2"), Said("user", "Sure?", "item_3"))
        [piece async for piece in session.reply(Dialogue(later))]
        await brain.close()
    begun = json.dumps(script.asked[1]["messages"])[:-1]
    assert json.dumps(script.asked[2]["messages"]).startswith(begun)


async def test_a_function_of_the_client_goes_to_the_client_also_beside_a_tool() -> None:
    tools = Thermometer()
    async with scripted(calling(("measure", "{}"), ("show", '{"n": 1}')), said("There.")) as script:
        brain = ChatBrain(Endpoint(script.url, "m"), tools=tools)
        session = brain.begin_session()
        asked = Dialogue(HELLO.entries, tools=(THEIRS,))
        assert [piece async for piece in session.reply(asked)] == [FunctionCall("show", '{"n": 1}', "call_1")]
        assert tools.called == [("measure", {})]
        done = (FunctionCall("show", '{"n": 1}', "call_1", "item_2"), FunctionOutput("call_1", "shown", "item_3"))
        await_all = [piece async for piece in session.reply(Dialogue((*HELLO.entries, *done), tools=(THEIRS,)))]
        assert await_all == ["There."]
        await brain.close()
    roles = [(message["role"], message.get("tool_call_id")) for message in script.asked[1]["messages"]]
    expected = [("user", None), ("assistant", None), ("tool", "call_0"), ("assistant", None), ("tool", "call_1")]
    assert roles == expected


@pytest.mark.parametrize(
    ("takes_s", "lead_in", "spoken", "pieces"),
    [
        (0.2, "", True, ["One moment. ", "Warm."]),
        (0.0, "", True, ["Warm."]),
        (0.2, "Let me see.", True, ["Let me see.", " ", "Warm."]),
        (0.2, "", False, ["Warm."]),
    ],
)
async def test_a_slow_tool_is_waited_for_aloud_once(
    takes_s: float, lead_in: str, spoken: bool, pieces: list[str]
) -> None:
    async with scripted(calling(("measure", "{}"), text=lead_in), said("Warm.")) as script:
        filler = Filler("One moment.", 0.05)
        brain = ChatBrain(Endpoint(script.url, "m"), tools=Thermometer(takes_s), filler=filler)
        given = [piece async for piece in brain.reply(Dialogue(HELLO.entries, spoken=spoken))]
        await brain.close()
    assert [piece for piece in given if piece] == pieces


async def test_a_model_that_calls_tools_without_end_is_stopped() -> None:
    tools = Thermometer()
    async with scripted(calling(("measure", "{}"))) as script:
        brain = ChatBrain(Endpoint(script.url, "m"), apology="Sorry.", tools=tools)
        with pytest.raises(BrainFailure, match="without end") as failed:
            [piece async for piece in brain.reply(HELLO)]
        await brain.close()
    assert (failed.value.spoken, len(tools.called)) == ("Sorry.", MOST_STEPS)


async def test_what_tools_gave_stays_within_the_bound_of_the_conversation() -> None:
    tools, most = Thermometer(says="word " * 1600), 4000
    acts = [calling(("measure", "{}"), ("measure", "{}"))] * 3 + [said("Warm.")]
    async with scripted(*acts, *acts) as script:
        brain = ChatBrain(Endpoint(script.url, "m"), tools=tools, context_chars=most)
        session = brain.begin_session()
        [piece async for piece in session.reply(HELLO)]
        later = (*HELLO.entries, Said("assistant", "Warm.", "item_2"), Said("user", "Sure?", "item_3"))
        [piece async for piece in session.reply(Dialogue(later))]
        session.end()
        await brain.close()
    sizes = [sum(len(message["content"] or "") for message in asked["messages"]) for asked in script.asked]
    assert max(sizes[:4]) <= most + 200
    assert max(sizes) <= 2 * most + 200


async def test_an_interruption_leaves_the_tool() -> None:
    tools = Thermometer(30.0)
    async with scripted(calling(("measure", "{}"))) as script:
        brain = ChatBrain(Endpoint(script.url, "m"), tools=tools, filler=Filler("One moment.", 0.01))
        reply = brain.reply(HELLO)
        assert await anext(reply) == "One moment. "
        await reply.aclose()
        await asyncio.sleep(0.01)
        await brain.close()
    assert tools.left == 1
