"""Scope: the brains that the settings name, through the whole server: typed text in, the spoken answer's transcript."""

from __future__ import annotations

import pytest

from clients.python import connect
from realtime.agent.brain import Reader
from realtime.agent.rules.brain import RuleBrain
from realtime.app import create_app
from realtime.commands.serve import running
from realtime.config import Config
from realtime.parts import Parts, parts_of
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


@pytest.mark.parametrize(("named", "brain"), [("", Reader), ("read", Reader), ("rules", RuleBrain)])
def test_a_word_names_a_brain_that_is_built_in(named: str, brain: type) -> None:
    assert isinstance(create_app(Config(brain=named)).parts.brain, brain)
