"""Scope: what reaches the model: system, scene, voices and references."""

from msgspec import UNSET

from protocol.client_events import (
    ItemDelete,
    ResponseCreate,
)
from protocol.objects import InputAudio
from protocol.server_events import SessionUpdated
from realtime.engine.models.higgs_v2.prompting import Message, TextPart, messages
from realtime.request import Clip, RegisteredClip
from tests.session.harness import RATE, Talk, generation, reference, voice


def _prompt(talk: Talk, text: str = "Hello.", **config: object) -> list[Message]:
    talk.speak(text, **config)
    request = list(talk.clauses.values())[-1]
    return messages(request.voicing, request.text)


def test_smart_voice_has_a_system_message_and_a_scene_and_no_reference() -> None:
    system, scene = _prompt(Talk())
    assert (system.role, system.parts) == ("system", [TextPart("Generate audio following instruction.")])
    assert (scene.role, scene.parts) == ("scene", [TextPart("Audio is recorded from a quiet room.")])


def test_instructions_are_the_scene_line_by_line() -> None:
    talk = Talk()
    talk.update(instructions="A busy station.\n\nRain on the roof.")
    assert _prompt(talk)[1].parts == [TextPart("A busy station."), TextPart("Rain on the roof.")]


def test_speaker_tags_in_the_text_ask_for_the_dialogue_prompt() -> None:
    talk = Talk()
    system = _prompt(talk, "[SPEAKER0] Hello. [SPEAKER1] And you?")[0]
    assert isinstance(system.parts[0], TextPart)
    assert "[SPEAKER*]" in system.parts[0].text
    assert [clause.text for clause in talk.clauses.values()] == ["[SPEAKER0] Hello.", "[SPEAKER1] And you?"]


def test_a_system_item_replaces_the_system_message_and_the_last_one_counts() -> None:
    talk = Talk()
    talk.item("system", "First.")
    talk.item("system", "Second.")
    assert _prompt(talk)[0].parts == [TextPart("Second.")]


def test_one_cloned_voice_is_a_turn_before_the_text() -> None:
    talk = Talk()
    talk.update(audio=voice("amy"))
    assert _prompt(talk)[2:] == [
        Message("user", [TextPart("Amy says this.")]),
        Message("assistant", [RegisteredClip("amy")]),
    ]


def test_a_voice_the_checkpoint_knows_is_a_line_of_the_scene() -> None:
    talk = Talk()
    talk.update(audio=voice("whisper"))
    prompt = _prompt(talk)
    assert len(prompt) == 2
    assert TextPart("A low whisper.") in prompt[1].parts


def test_several_cloned_voices_stand_in_the_scene_each_after_its_tag() -> None:
    talk = Talk()
    talk.update(voiced=generation(speakers={"SPEAKER1": "bob", "SPEAKER0": "amy"}))
    _, scene = _prompt(talk, "[SPEAKER0] Hello. [SPEAKER1] And you?")
    clips = [part for part in scene.parts if isinstance(part, RegisteredClip)]
    assert clips == [RegisteredClip("amy"), RegisteredClip("bob")]
    at = scene.parts.index(RegisteredClip("amy"))
    before = scene.parts[at - 1]
    assert isinstance(before, TextPart)
    assert "SPEAKER0" in before.text


def test_a_reference_item_of_the_assistant_is_a_turn_before_the_text() -> None:
    talk = Talk()
    talk.item("assistant", reference())
    assert _prompt(talk)[2:] == [
        Message("user", [TextPart("Words of the clip.")]),
        Message("assistant", [Clip(bytes(RATE))]),
    ]


def test_a_users_clip_can_be_a_voice() -> None:
    talk = Talk()
    talk.item("user", InputAudio(audio=bytes(RATE), transcript="My own words."), item_id="clip1")
    assert len(_prompt(talk)) == 2
    talk.update(audio=voice("item:clip1"))
    assert _prompt(talk)[2:] == [
        Message("user", [TextPart("My own words.")]),
        Message("assistant", [Clip(bytes(RATE))]),
    ]


def test_a_voice_from_an_item_that_is_not_there_is_refused_before_anything_starts() -> None:
    talk = Talk()
    talk.update(audio=voice("item:nobody"))
    since = len(talk.events)
    talk.tell(ResponseCreate())
    talk.deliver()
    assert talk.kinds(since) == ["error"]
    assert "nobody" in talk.error().message
    assert talk.session.live is None


def test_deleting_the_system_message_or_a_reference_starts_from_a_fresh_past() -> None:
    talk = Talk()
    talk.item("assistant", reference(), item_id="ref")
    talk.speak()
    talk.tell(ItemDelete(item_id="ref"))
    talk.speak()
    first, second = talk.clauses.values()
    assert len(first.voicing.references) == 1
    assert not second.voicing.references
    assert first.context_id != second.context_id


def test_instructions_too_long_for_a_scene_are_kept_and_not_put_before_the_speech() -> None:
    talk = Talk(max_scene_chars=40)
    talk.update(instructions="A quiet library.")
    assert talk.got(SessionUpdated)[-1].session.voiced.scene is UNSET
    assert _prompt(talk)[1].parts == [TextPart("A quiet library.")]
    told = "You are the assistant of a bank. Never say a number twice. " * 20
    talk.update(instructions=told)
    shown = talk.got(SessionUpdated)[-1].session
    assert (shown.instructions, shown.voiced.scene) == (told, False)
    assert _prompt(talk)[1].parts == [TextPart("Audio is recorded from a quiet room.")]
    assert talk.asked[-1].dialogue.instructions == told
