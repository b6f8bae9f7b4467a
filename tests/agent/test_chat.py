"""Scope: the brain over a chat endpoint: what it asks, what it takes in, and how each failure of an endpoint ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from realtime.agent.brain import BrainFailure, Dialogue, FunctionCall, NothingToSay, Said
from realtime.agent.chat.brain import ChatBrain
from realtime.agent.chat.chunks import MOST_CHARS
from realtime.agent.chat.endpoint import Endpoint, Patience
from tests.agent.scripted import DONE, HEAD, Act, Scripted, chunk, raw, said, scripted, status

KEY = "sk-secret-of-ours"
QUICK = Patience(connect_s=1.0, first_s=0.4, between_s=0.3)
HELLO = Dialogue((Said("user", "Hello.", "item_1"),), instructions="Be kind.")
TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}


@contextlib.asynccontextmanager
async def brain_at(url: str, **options: Any) -> AsyncIterator[ChatBrain]:
    brain = ChatBrain(Endpoint(url, "small", KEY, QUICK), apology="Sorry.", **options)
    try:
        yield brain
    finally:
        await brain.close()


async def answer(script: Scripted, dialogue: Dialogue = HELLO, **options: Any) -> list[str | FunctionCall]:
    async with brain_at(script.url, **options) as brain:
        return [piece async for piece in brain.reply(dialogue)]


async def failure(script: Scripted, before: list[str] | None = None) -> BrainFailure:
    """The one failure that an answer ends in; what was said before it is put into `before`."""
    async with brain_at(script.url) as brain:
        with pytest.raises(BrainFailure) as failed:
            async for piece in brain.reply(HELLO):
                assert isinstance(piece, str)
                (before if before is not None else []).append(piece)
    return failed.value


async def test_an_answer_streams_as_it_comes() -> None:
    async with scripted(said("Hello", " **there**. ", "How are you?")) as script:
        pieces = await answer(script, instructions="Be brief.")
    assert pieces == ["Hello", " there. ", "How are you?"]
    (asked,) = script.asked
    assert asked == {
        "model": "small",
        "stream": True,
        "messages": [{"role": "system", "content": "Be brief.\n\nBe kind."}, {"role": "user", "content": "Hello."}],
    }
    assert f"authorization: bearer {KEY}" in script.heads[0].lower()
    assert script.heads[0].startswith("POST /v1/chat/completions ")


async def test_an_answer_that_is_read_keeps_its_marks() -> None:
    async with scripted(said("**Bold**")) as script:
        assert await answer(script, Dialogue(HELLO.entries, spoken=False)) == ["**Bold**"]


@pytest.mark.parametrize(
    "act",
    [
        raw(
            HEAD,
            b": hello\r\n\r\nevent: x\r\nid: 7\r\n",
            *(bytes([byte]) for byte in chunk("Hel") + chunk("lo.", "stop")),
        ),
        raw(HEAD, chunk("", role="assistant", reasoning_content="Hm."), chunk("Hello.", "stop", new_field=[1])),
        raw(
            HEAD,
            chunk("Hello.", "stop"),
            b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n',
            DONE,
            chunk("No."),
        ),
        raw(HEAD, chunk("Hello."), b"data: [DONE]"),
        raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
            b'{"choices": [{"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}',
        ),
        raw(HEAD, chunk([{"type": "text", "text": "Hello."}, {"type": "thing"}], "stop")),
    ],
    ids=["bytes", "unknown fields", "usage", "no line end", "not streamed", "parts"],
)
async def test_what_endpoints_send_differently_is_understood(act: Act) -> None:
    async with scripted(act) as script:
        assert "".join(map(str, await answer(script))) == "Hello."


async def test_calls_are_gathered_by_their_index() -> None:
    def calling(index: int, arguments: str, **more: Any) -> bytes:
        name = {"name": more.pop("name")} if "name" in more else {}
        return chunk(tool_calls=[{"index": index, "function": {**name, "arguments": arguments}, **more}])

    act = raw(
        HEAD,
        chunk("Let me look. "),
        calling(1, "", name="look", id="call_b"),
        calling(0, '{"a"', name="look", id="call_a"),
        calling(1, '{"b": 2'),
        calling(0, ": 1}"),
        calling(1, "}"),
        chunk(finish="tool_calls"),
        DONE,
    )
    async with scripted(act) as script:
        pieces = await answer(script, Dialogue(HELLO.entries, tools=(TOOL,), tool_choice="look"))
    assert pieces == [
        "Let me look. ",
        FunctionCall("look", '{"a": 1}', "call_a"),
        FunctionCall("look", '{"b": 2}', "call_b"),
    ]
    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    assert script.asked[0]["tools"] == [{"type": "function", "function": function}]
    assert script.asked[0]["tool_choice"] == {"type": "function", "function": {"name": "look"}}


async def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    def called(call_id: str, arguments: Any) -> dict[str, Any]:
        return {"id": call_id, "function": {"name": "look", "arguments": arguments}}

    act = raw(HEAD, chunk(None, "tool_calls", tool_calls=[called("a", {"x": 1}), called("b", "")]), DONE)
    async with scripted(act) as script:
        assert await answer(script) == [FunctionCall("look", '{"x": 1}', "a"), FunctionCall("look", "{}", "b")]


@pytest.mark.parametrize(
    ("act", "code", "names", "before"),
    [
        (status(401, f'{{"error": "{KEY} is wrong"}}'), "brain_refused", "brain_key", ""),
        (status(403, f'{{"error": "{KEY[:6]}***** may not"}}'), "brain_refused", "brain_key", ""),
        (status(404), "brain_refused", "brain_model", ""),
        (status(400), "brain_refused", "brain_model", ""),
        (status(413), "brain_refused", "brain_context_chars", ""),
        (status(429, f"{KEY} asks too often"), "brain_overloaded", "HTTP 429", ""),
        (status(500), "brain_failed", "HTTP 500", ""),
        (status(503), "brain_overloaded", "HTTP 503", ""),
        (status(302), "brain_refused", "brain_url", ""),
        (raw(HEAD, then=5), "brain_timeout", "brain_timeout_s", ""),
        (raw(then=5), "brain_timeout", "brain_timeout_s", ""),
        (raw(HEAD, *[b": still there\n\n"] * 9, then=5), "brain_timeout", "brain_timeout_s", ""),
        (raw(HEAD, chunk("Well"), then=5), "brain_timeout", "in the middle", "Well"),
        (raw(HEAD, chunk("Well,")), "brain_failed", "broke off", "Well,"),
        (raw(HEAD), "brain_failed", "broke off", ""),
        (raw(HEAD, chunk("Well,"), b'data: {"choices": [{"del'), "brain_failed", "no JSON", "Well,"),
        (raw(HEAD, b"data: no JSON\n\n"), "brain_failed", "no JSON", ""),
        (raw(HEAD, b"data: " + b"[" * 100_000 + b"\n\n"), "brain_failed", "no JSON", ""),
        (raw(HEAD, b"data: 7\n\n"), "brain_failed", "no chat completion", ""),
        (raw(HEAD, b'data: {"error": {"code": 429, "message": "No."}}\n\n'), "brain_overloaded", "HTTP 429", ""),
        (raw(HEAD, b'error: {"error": {"message": "No."}}\n\n'), "brain_failed", "HTTP 500", ""),
        (raw(HEAD, chunk("", "stop"), DONE), "brain_failed", "empty", ""),
        (raw(HEAD, DONE), "brain_failed", "empty", ""),
        (
            raw(HEAD, chunk(finish="stop", tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{"}}])),
            "brain_failed",
            "function call",
            "",
        ),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n<html>"),
            "brain_failed",
            "no JSON",
            "",
        ),
        (raw(b"not HTTP at all\r\n\r\n"), "brain_unreachable", "brain_url", ""),
    ],
)  # fmt: skip
async def test_every_failure_is_one_sentence_that_names_what_to_look_at(
    act: Act, code: str, names: str, before: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "voiced.brain")
    heard: list[str] = []
    async with scripted(act) as script:
        failed = await failure(script, heard)
    assert (failed.code, "".join(heard), failed.spoken) == (code, before, "Sorry.")
    assert names in failed.message
    assert failed.message.endswith(".")
    assert KEY[:6] not in failed.message + caplog.text  # a server may say it with stars
    assert script.url not in failed.message


@pytest.mark.parametrize("word", ["on and on ", " ", "x" * 5000])
async def test_an_answer_without_end_is_cut_and_no_more_is_said_of_it(word: str) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while True:
            writer.write(chunk(word) * 20)
            await writer.drain()

    heard: list[str] = []
    async with scripted(endless) as script:
        failed = await failure(script, heard)
    assert (failed.code, failed.spoken) == ("brain_output_too_long", "")
    assert len("".join(heard)) <= MOST_CHARS


async def test_where_nobody_listens_it_is_asked_twice_and_told_once() -> None:
    async with scripted(said("Hello.")) as script:
        pass
    failed = await failure(script)
    assert (failed.code, "no connection" in failed.message) == ("brain_unreachable", True)


async def test_a_connection_that_breaks_before_the_first_byte_is_tried_once_more() -> None:
    async with scripted(raw(), said("Hello.")) as script:
        assert await answer(script) == ["Hello."]
    assert len(script.asked) == 2
    async with scripted(raw(), raw(), said("Too late.")) as script:
        assert (await failure(script)).code == "brain_unreachable"
    assert len(script.asked) == 2


async def test_an_answer_that_broke_off_is_not_asked_for_again() -> None:
    async with scripted(raw(HEAD), said("Hello.")) as script:
        await failure(script)
    assert len(script.asked) == 1


@pytest.mark.parametrize("leave", ["cancel", "close"])
async def test_leaving_an_answer_closes_its_connection(leave: str) -> None:
    async with scripted(raw(HEAD, chunk("One. "), then=30)) as script, brain_at(script.url) as brain:
        reply = brain.reply(HELLO)
        assert await anext(reply) == "One. "
        if leave == "close":
            await reply.aclose()
        else:
            waiting = asyncio.ensure_future(anext(reply))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with asyncio.timeout(2):
            while not script.left:
                await asyncio.sleep(0.01)


async def test_a_turn_without_words_is_not_asked_about() -> None:
    async with scripted(said("What?")) as script:
        with pytest.raises(NothingToSay, match="no words"):
            await answer(script, Dialogue((Said("user", "Hello."), Said("user", " ", audio=b"\0\0"))))
    assert not script.asked


async def test_requests_begin_as_the_one_before_did() -> None:
    entries: list[Said] = []
    async with scripted(said("I see.")) as script, brain_at(script.url, instructions="Be brief.") as brain:
        session = brain.begin_session()
        for turn in range(4):
            entries.append(Said("user", f"Turn {turn}.", f"user_{turn}"))
            async for _ in session.reply(Dialogue(tuple(entries), "Be kind.", tools=(TOOL,))):
                pass
            entries.append(Said("assistant", "I", f"assistant_{turn}", cut_short=turn == 1))
    for before, after in zip(script.asked, script.asked[1:], strict=False):
        assert json.dumps(after["messages"]).startswith(json.dumps(before["messages"])[:-1])
        assert after["tools"] == before["tools"]
    assert script.asked[-1]["messages"][4]["content"] == "I [interrupted: the user did not hear the rest]"


def long_talk(turns: int) -> tuple[Said, ...]:
    told = (
        Said("user" if turn % 2 == 0 else "assistant", f"{turn}: " + "word " * 40, f"item_{turn}")
        for turn in range(turns)
    )
    return tuple(told)


async def settled(script: Scripted, asked: int) -> None:
    async with asyncio.timeout(5):
        while len(script.asked) < asked:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def test_older_turns_are_summarised_in_the_background_and_the_prefix_changes_in_strides() -> None:
    changes, most = 0, 4000

    async def act(writer: asyncio.StreamWriter) -> None:
        summary = "minutes" in script.asked[-1]["messages"][0]["content"]
        await said("They spoke of words." if summary else "Go on.")(writer)

    async with scripted(act) as script, brain_at(script.url, context_chars=most) as brain:
        session, before = brain.begin_session(), ""
        for turns in range(1, 80, 2):
            async for _ in session.reply(Dialogue(long_talk(turns), "Be kind.")):
                pass
            await asyncio.sleep(0.02)
            asked = next(one for one in reversed(script.asked) if "minutes" not in one["messages"][0]["content"])
            messages = asked["messages"]
            assert sum(len(message["content"]) for message in messages[1:]) <= most
            assert messages[-1]["content"].startswith(f"{turns - 1}: ")
            changes += not json.dumps(messages).startswith(before)
            before = json.dumps(messages)[:-1]
        assert "They spoke of words." in messages[0]["content"]
    summaries = [one for one in script.asked if "minutes" in one["messages"][0]["content"]]
    assert 1 <= len(summaries) <= 14
    assert changes <= len(summaries) + 1
    assert "The summary so far: They spoke of words." in summaries[-1]["messages"][1]["content"]


async def test_a_summary_that_fails_leaves_the_oldest_out_and_the_answer_comes() -> None:
    async with (
        scripted(said("Fine."), status(500), said("Fine.")) as script,
        brain_at(script.url, context_chars=2000) as brain,
    ):
        session = brain.begin_session()
        for turns in (11, 13):
            assert [piece async for piece in session.reply(Dialogue(long_talk(turns)))] == ["Fine."]
            await settled(script, 2)
        assert sum(len(message["content"]) for message in script.asked[-1]["messages"]) <= 2000
        session.end()


async def test_what_a_client_deletes_is_not_kept_in_a_summary() -> None:
    acts = said("Fine."), said("The secret is 7."), said("Fine.")
    async with scripted(*acts) as script, brain_at(script.url, context_chars=2000) as brain:
        session = brain.begin_session()
        [piece async for piece in session.reply(Dialogue(long_talk(9)))]
        await settled(script, 2)
        [piece async for piece in session.reply(Dialogue(long_talk(9)))]
        assert "The secret is 7." in json.dumps(script.asked[-1])
        [piece async for piece in session.reply(Dialogue(long_talk(9)[1:]))]
        assert all("The secret is 7." not in json.dumps(asked) for asked in script.asked[3:])
        session.end()


async def test_sessions_share_nothing_but_the_endpoint() -> None:
    acts = said("Fine."), said("The secret is 7."), said("Fine.")
    async with scripted(*acts) as script, brain_at(script.url, context_chars=2000) as brain:
        one, other = brain.begin_session(), brain.begin_session()
        [piece async for piece in one.reply(Dialogue(long_talk(9)))]
        await settled(script, 2)
        [piece async for piece in other.reply(Dialogue(long_talk(9)))]
        assert "The secret is 7." not in json.dumps(script.asked[2])
        one.end()
        other.end()


@pytest.mark.parametrize(
    "make", [lambda: Endpoint("http://127.0.0.1:9/v1/", "m"), lambda: Endpoint("http://h/chat/completions", "")]
)
def test_an_address_is_taken_with_and_without_its_path(make: Callable[[], Endpoint]) -> None:
    assert make()._url.count("/chat/completions") == 1
