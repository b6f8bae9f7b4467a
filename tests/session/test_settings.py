"""Scope: a session's settings: what changes them, what is refused, what the client is shown."""

import pytest

from protocol.client_events import (
    ResponseCreate,
)
from protocol.objects import ResponseConfig, VoiceId
from protocol.server_events import (
    SessionUpdated,
)
from realtime.speech import TextPart
from tests.session.harness import Talk, generation, voice


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    talk = Talk()
    talk.update(instructions="A quiet library.", voiced=generation(temperature=0.5, top_k=20))
    talk.update(audio=voice("amy"))
    talk.update(voiced=generation(top_k=5))
    shown = talk.got(SessionUpdated)[-1].session
    assert shown.instructions == "A quiet library."
    assert shown.audio.output.voice == "amy"
    assert (shown.voiced.generation.temperature, shown.voiced.generation.top_k) == (0.5, 5)
    talk.update(instructions="")
    assert talk.got(SessionUpdated)[-1].session.instructions == ""


def test_overrides_of_a_response_are_its_own() -> None:
    talk = Talk()
    talk.update(instructions="A quiet library.")
    talk.speak(instructions="A loud factory.")
    talk.speak()
    first, second = talk.clauses.values()
    assert first.messages[1].parts == [TextPart("A loud factory.")]
    assert second.messages[1].parts == [TextPart("A quiet library.")]
    assert first.context_id != second.context_id


@pytest.mark.parametrize(
    ("name", "hint"), [("ammy", "Did you mean 'amy'?"), ("zzz", "There are: amy, bob, whisper."), (VoiceId("x1"), "x1")]
)
def test_a_wrong_voice_is_refused_with_a_hint(name: object, hint: str) -> None:
    talk = Talk()
    talk.update(audio=voice(name))
    assert talk.error().param == "session.audio.output.voice"
    assert hint in talk.error().message
    talk.tell(ResponseCreate(response=ResponseConfig(audio=voice(name))))  # type: ignore[arg-type]
    talk.deliver()
    assert talk.error().param == "response.audio.output.voice"
    assert talk.speak().status == "completed"


def test_writing_is_refused_and_says_what_works() -> None:
    talk = Talk()
    talk.update(output_modalities=["text"])
    assert (talk.error().code, talk.error().param) == ("unsupported_value", "session.output_modalities")


def test_a_change_of_voice_starts_from_a_fresh_past_and_no_change_keeps_it() -> None:
    talk = Talk()
    talk.speak()
    talk.speak()
    talk.update(audio=voice("amy"))
    talk.speak()
    talk.update(audio=voice("amy"))
    talk.speak()
    contexts = [clause.context_id for clause in talk.clauses.values()]
    assert contexts[0] == contexts[1] != contexts[2] == contexts[3]
    assert talk.contexts_dropped == [contexts[0]]


def test_a_change_in_the_middle_of_a_response_waits_for_its_end() -> None:
    talk = Talk()
    talk.respond("A sentence of several words here. " * 6)
    talk.audio()
    talk.update(audio=voice("amy"))
    talk.item("system", "Speak like a pirate.")
    talk.end()
    while talk.session.live is not None and talk.session.live.running is not None:
        talk.audio()
        talk.end()
    talk.deliver()
    assert len({clause.context_id for clause in talk.clauses.values()}) == 1
    assert len({str(clause.messages) for clause in talk.clauses.values()}) == 1
    old = next(iter(talk.clauses.values())).context_id
    talk.speak()
    assert list(talk.clauses.values())[-1].context_id != old
    assert old in talk.contexts_dropped
