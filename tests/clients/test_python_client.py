"""Scope: the Python client against a real server: say, iterate, interrupt, update, and every way it goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from clients.python import VoicedError, connect
from protocol.objects import Generation, MessageItem, OutputAudio
from realtime.commands.serve import running
from realtime.config import Config

pytestmark = pytest.mark.asyncio(loop_scope="module")
FAST = Generation(paced=False, greedy=True, seed=1)
BOTH = pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
LONG = "This is a long story about a harbour, a lighthouse and a ship that was late. " * 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(noise_checkpoint: Callable[[int], Path]) -> AsyncIterator[str]:
    config = Config(port=0, model=str(noise_checkpoint(1)), device="cpu", threads=1, max_sessions=2)
    async with running(config) as (_, gateway, address):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        yield address


@BOTH
async def test_a_text_becomes_audio_and_a_transcript(url: str, binary: bool) -> None:
    async with connect(url, generation=FAST, binary=binary) as conversation:
        speech = await conversation.say("Good evening.")
        pcm = await speech.read()
    assert len(pcm) == 2 * speech.samples > 0
    assert speech.transcript == "Good evening."
    assert speech.response is not None
    assert speech.response.status in ("completed", "incomplete")


@BOTH
async def test_an_interrupted_speech_ends_and_the_next_is_whole(url: str, binary: bool) -> None:
    async with connect(url, binary=binary) as conversation:
        speech = await conversation.say(LONG)
        async for _ in speech:
            await speech.interrupt()
            break
        rest = await speech.read()
        assert speech.response is not None
        assert speech.response.status == "cancelled"
        assert len(rest) < 24000 * 2 * 5
        await conversation.update(generation=FAST)
        assert await (await conversation.say("Good evening.")).read()
        assert not conversation.errors


@BOTH
async def test_the_transcript_of_an_interrupted_speech_is_what_the_conversation_keeps(url: str, binary: bool) -> None:
    async with connect(url, binary=binary) as conversation:
        speech = await conversation.say(LONG)
        heard = 0
        async for pcm in speech:
            heard += len(pcm)
            if heard > 24000 * 2:
                await speech.interrupt(heard_ms=700)
        assert heard <= 24000 * 2 + len(pcm), "nothing is handed out after the interruption"
        assert speech.response is not None
        assert speech.response.status == "cancelled"
        item = await conversation.retrieve(speech.item_id)
        assert isinstance(item, MessageItem)
        assert [OutputAudio(transcript=speech.transcript)] == item.content
        assert LONG.startswith(speech.transcript)
        assert not conversation.errors


async def test_a_speech_interrupted_while_it_plays_on_keeps_what_was_heard_of_it(url: str) -> None:
    async with connect(url, generation=FAST) as conversation:
        speech = await conversation.say("Good evening. The train leaves at nine.")
        await speech.read()
        assert speech.transcript == "Good evening. The train leaves at nine."
        await speech.interrupt(heard_ms=0)
        assert speech.transcript == ""


async def test_an_aside_that_is_interrupted_says_what_was_said_of_it(url: str) -> None:
    async with connect(url) as conversation:
        speech = await conversation.say(LONG, aside=True)
        async for _ in speech:
            await speech.interrupt()
        assert speech.response is not None
        assert len(speech.transcript) < len(LONG)
        assert LONG.startswith(speech.transcript)
        assert not conversation.errors


@BOTH
async def test_a_response_that_is_over_at_once_is_a_speech_too(url: str, binary: bool) -> None:
    async with connect(url, generation=FAST, binary=binary) as conversation:
        for ask in (
            conversation.respond,
            lambda: conversation.say("..."),
            lambda: conversation.say("\N{PARTY POPPER}", aside=True),
        ):
            speech = await ask()
            assert await speech.read() == b""
            assert speech.response is not None
        assert await (await conversation.say("Good evening.")).read()


async def test_interrupting_what_is_over_does_not_spoil_the_next_turn(url: str) -> None:
    async with connect(url, generation=FAST) as conversation:
        speech = await conversation.say("Good evening.")
        await speech.read()
        speech.response = None  # as if the end had not arrived yet
        await speech.interrupt()
        assert await (await conversation.say("Good night.")).read()
        assert [error.error.code for error in conversation.errors] == ["response_cancel_not_active"]


async def test_an_update_returns_what_the_server_made_of_it(url: str) -> None:
    async with connect(url) as conversation:
        session = await conversation.update(instructions="Rain.", generation=Generation(top_k=7))
        assert (session.instructions, session.voiced.generation.top_k) == ("Rain.", 7)
        assert conversation.session == session


async def test_what_the_server_refuses_is_an_error_with_its_code_and_nothing_is_spoken(url: str) -> None:
    async with connect(url, generation=FAST) as conversation:
        assert await (await conversation.say("Good evening.")).read()
        with pytest.raises(VoicedError, match="empty") as refused:
            await conversation.say("  ")
        assert refused.value.code == "invalid_value"
        with pytest.raises(VoicedError, match="no voice"):
            await conversation.update(voice="nobody")
        assert await (await conversation.say("Good night.")).read()


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/realtime"])
async def test_the_servers_own_address_will_do(url: str, path: str) -> None:
    address = url.replace("ws://", "http://").removesuffix("/v1/realtime")
    async with connect(address + path) as conversation:
        assert conversation.session is not None


async def test_a_wrong_address_a_missing_server_and_a_full_one_are_told_apart(url: str) -> None:
    for address, code in (("http//x", "invalid_url"), ("ws://127.0.0.1:9/v1/realtime", "unreachable")):
        with pytest.raises(VoicedError) as refused:
            async with connect(address):
                pass
        assert refused.value.code == code
    async with connect(url), connect(url):
        with pytest.raises(VoicedError) as refused:
            async with connect(url):
                pass
        assert refused.value.code == "too_many_sessions"


async def test_a_lost_connection_ends_the_speech_with_an_error(url: str) -> None:
    async with connect(url) as conversation:
        speech = await conversation.say(LONG)
        conversation._connection.transport.abort()
        with pytest.raises(VoicedError) as lost:
            await speech.read()
        assert lost.value.code == "connection_lost"
        with pytest.raises(VoicedError) as lost:
            await conversation.say("Anybody?")
        assert lost.value.code == "connection_lost"
