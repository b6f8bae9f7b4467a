"""Scope: the brains that the settings name, through the whole server: typed text in, the spoken answer's transcript."""

from __future__ import annotations

import asyncio

import pytest

from clients.python import connect
from protocol.objects import ResponseError, StatusDetails
from realtime.agent.brain import Reader
from realtime.agent.chat.brain import ChatBrain
from realtime.agent.rules.brain import RuleBrain
from realtime.app import create_app
from realtime.commands.serve import running
from realtime.config import Config, ConfigError, as_toml, load_config
from realtime.parts import Parts, parts_of
from tests.agent.scripted import HEAD, Act, chunk, raw, said, scripted, status
from tests.parts.test_third_parties import Beeper


async def test_the_brain_by_rules_holds_a_spoken_conversation() -> None:
    engine, config = Beeper(), Config(port=0, brain="rules")
    parts = Parts(brain=parts_of(config).brain, engine=engine)
    async with running(config, parts) as (_, _, url), connect(url) as talk:
        transcripts = []
        for text in ("Hello, my name is Marta.", "What is two plus three?", "What's my name?"):
            speech = await talk.say(text)
            assert b"".join([piece async for piece in speech])
            transcripts.append(speech.transcript)
    assert transcripts == ["Nice to meet you, Marta.", "2 plus 3 is 5.", "Your name is Marta."]
    assert engine.spoken == transcripts


class Callers:
    """A server whose brain is a chat endpoint, and one caller."""

    def __init__(self, url: str) -> None:
        self.engine = Beeper()
        self.config = Config(port=0, brain_url=url, brain_model="small", brain_timeout_s=1.0, brain_apology="Sorry.")


async def test_a_language_model_is_spoken_and_what_was_heard_is_asked_with() -> None:
    async with scripted(said("It is **", "nine**."), said("You are welcome.")) as script:
        caller = Callers(script.url)
        parts = Parts(brain=parts_of(caller.config).brain, engine=caller.engine)
        async with running(caller.config, parts) as (_, _, url), connect(url) as talk:
            for text in ("When does it leave?", "Thanks."):
                speech = await talk.say(text)
                assert b"".join([piece async for piece in speech])
    assert caller.engine.spoken == ["It is nine.", "You are welcome."]
    told = [message["content"] for message in script.asked[1]["messages"][1:]]
    assert told == ["When does it leave?", "It is nine.", "Thanks."]


@pytest.mark.parametrize(
    ("act", "code", "transcript"),
    [
        (status(401), "brain_refused", "Sorry."),
        (status(429), "brain_overloaded", "Sorry."),
        (raw(HEAD, then=9), "brain_timeout", "Sorry."),
        (raw(HEAD, chunk("It is nine, or")), "brain_failed", "It is nine, or Sorry."),
    ],
)
async def test_a_failure_is_heard_and_told_in_one_terminal_event_and_the_session_lives(
    act: Act, code: str, transcript: str
) -> None:
    async with scripted(act, said("I am back.")) as script:
        caller = Callers(script.url)
        parts = Parts(brain=parts_of(caller.config).brain, engine=caller.engine)
        async with running(caller.config, parts) as (_, _, url), connect(url) as talk:
            speech = await talk.say("Hello.")
            assert b"".join([piece async for piece in speech])
            assert speech.response.status == "failed"
            assert isinstance(speech.response.status_details, StatusDetails)
            assert isinstance(speech.response.status_details.error, ResponseError)
            assert (speech.response.status_details.error.code, speech.transcript) == (code, transcript)
            again = await talk.say("Hello?")
            assert b"".join([piece async for piece in again])
            assert again.transcript == "I am back."


async def test_an_answer_that_is_interrupted_leaves_its_endpoint() -> None:
    async with scripted(raw(HEAD, chunk("One sentence that is long enough. And "), then=30)) as script:
        caller = Callers(script.url)
        parts = Parts(brain=parts_of(caller.config).brain, engine=caller.engine)
        async with running(caller.config, parts) as (_, _, url), connect(url) as talk:
            speech = await talk.say("Hello.")
            async for _ in speech:
                await speech.interrupt()
            async with asyncio.timeout(5):
                while not script.left:
                    await asyncio.sleep(0.01)


def test_the_key_of_the_language_model_is_shown_nowhere() -> None:
    config = Config(brain="chat", brain_url="https://models.example/v1", brain_key="sk-secret")
    assert "sk-secret" not in repr(config) + as_toml(config)
    with pytest.raises(ConfigError) as error:
        load_config({"brain_key": "sk secret"}, {})
    assert "sk secret" not in str(error.value)


def test_a_chat_brain_needs_an_address() -> None:
    with pytest.raises(ConfigError, match="brain_url"):
        create_app(Config(brain="chat"))
    for wrong in ("models.example/v1", "https://user:word@models.example", "ftp://models.example"):
        with pytest.raises(ConfigError, match="brain_url"):
            load_config({"brain_url": wrong}, {})


def test_an_address_alone_attaches_a_language_model() -> None:
    brain = create_app(Config(brain_url="http://127.0.0.1:9/v1")).parts.brain
    assert isinstance(brain, ChatBrain)
    assert isinstance(create_app(Config(brain_url="http://127.0.0.1:9/v1", brain="read")).parts.brain, Reader)


@pytest.mark.parametrize(("named", "brain"), [("", Reader), ("read", Reader), ("rules", RuleBrain)])
def test_a_word_names_a_brain_that_is_built_in(named: str, brain: type) -> None:
    assert isinstance(create_app(Config(brain=named)).parts.brain, brain)
