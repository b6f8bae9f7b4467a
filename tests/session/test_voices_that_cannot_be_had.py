"""Scope: a voice that cannot be had is refused before anything of the response starts, and said why."""

import pytest

from protocol.client_events import ResponseCreate
from protocol.objects import InputAudio
from tests.session.harness import RATE, VOICES, Talk, generation, voice


def _refused(talk: Talk) -> str:
    """What a response is refused with."""
    since = len(talk.events)
    talk.tell(ResponseCreate())
    talk.deliver()
    assert talk.kinds(since) == ["error"]
    assert talk.session.live is None
    return str(talk.error().message)


def test_an_item_without_audio_is_no_voice() -> None:
    talk = Talk()
    talk.item("user", "Only written.", item_id="note")
    talk.update(audio=voice("item:note"))
    assert _refused(talk) == "Item 'note' holds no audio to take a voice from."


def test_a_clip_without_its_words_is_no_voice() -> None:
    talk = Talk()
    talk.item("user", InputAudio(audio=bytes(RATE)), item_id="clip1")
    talk.update(audio=voice("item:clip1"))
    assert "'clip1' has no transcript" in _refused(talk)


def test_a_voice_that_was_deleted_since_it_was_chosen_is_asked_for_anew() -> None:
    voices = {"amy": VOICES["amy"]}
    talk = Talk(voices=voices)
    talk.update(audio=voice("amy"))
    voices.clear()
    assert "'amy' has been deleted" in _refused(talk)


def test_where_no_voice_is_registered_the_error_says_to_leave_it_out() -> None:
    talk = Talk(voices={})
    talk.update(audio=voice("amy"))
    assert talk.error().message == (
        "There is no voice 'amy'. None are registered; leave the voice out and the model picks one."
    )


@pytest.mark.parametrize(
    ("name", "description", "clip"), [("whisper", "A low whisper.", None), ("amy", "", "amy")], ids=["scene", "clip"]
)
def test_a_speaker_of_a_dialogue_is_described_or_cloned(name: str, description: str, clip: str | None) -> None:
    talk = Talk()
    talk.update(voiced=generation(speakers={"SPEAKER0": name}))
    talk.speak("[SPEAKER0] Hello.")
    (speaker,) = next(iter(talk.clauses.values())).voicing.speakers
    assert (speaker.tag, speaker.description) == ("SPEAKER0", description)
    assert getattr(speaker.clip, "name", None) == clip
