"""Scope: the input buffer: audio comes in, becomes a user item, or is forgotten; nothing grows without a bound."""

from typing import Any

import pytest

from protocol.client_events import (
    InputAudioAppend,
    InputAudioClear,
    InputAudioCommit,
    ItemDelete,
    ItemRetrieve,
    OutputAudioClear,
    ResponseCreate,
)
from protocol.objects import AudioInput, InputAudio, MessageItem, ServerVad, SessionAudio
from protocol.server_events import InputCleared, InputCommitted, ItemRetrieved
from realtime.session.shared import Limits
from tests.session.harness import RATE, Talk, kind_of


def _pcm(seconds: float, value: int = 1) -> bytes:
    return value.to_bytes(2, "little") * round(seconds * RATE)


def _append(talk: Talk, pcm: bytes, **event: Any) -> list[str]:
    talk.tell(InputAudioAppend(audio=pcm, **event))
    return [kind_of(event) for event in talk.deliver()]


def _commit(talk: Talk, **event: Any) -> list[str]:
    talk.tell(InputAudioCommit(**event))
    return [kind_of(event) for event in talk.deliver()]


def _recorded(talk: Talk, item_id: str) -> InputAudio:
    talk.tell(ItemRetrieve(item_id=item_id))
    talk.deliver()
    part = talk.got(ItemRetrieved)[-1].item.content[0]
    assert isinstance(part, InputAudio)
    return part


def test_a_commit_makes_a_user_item_of_what_was_appended_and_appending_is_not_answered() -> None:
    talk = Talk()
    talk.item("user", "Before.", item_id="before")
    assert _append(talk, _pcm(0.3, 1)) == []
    assert _append(talk, _pcm(0.2, 2)) == []
    assert _commit(talk) == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    committed = talk.got(InputCommitted)[0]
    assert committed.previous_item_id == "before"
    item = talk.events[-1].item  # type: ignore[union-attr]
    assert isinstance(item, MessageItem)
    assert (item.id, item.role, item.status) == (committed.item_id, "user", "completed")
    assert item.content == [InputAudio(transcript=None)], "the event shows that there is audio and does not repeat it"
    assert _recorded(talk, item.id) == InputAudio(audio=_pcm(0.3, 1) + _pcm(0.2, 2), transcript=None)


def test_a_second_commit_holds_only_what_came_after_the_first() -> None:
    talk = Talk()
    for value in (1, 2):
        _append(talk, _pcm(0.2, value))
        _commit(talk)
    first, second = (event.item_id for event in talk.got(InputCommitted))
    assert talk.got(InputCommitted)[1].previous_item_id == first
    assert _recorded(talk, second).audio == _pcm(0.2, 2)


@pytest.mark.parametrize("seconds", [0.0, 0.09])
def test_a_commit_of_next_to_nothing_is_refused_and_keeps_what_there_is(seconds: float) -> None:
    talk = Talk()
    _append(talk, _pcm(seconds, 1))
    assert _commit(talk, event_id="mine") == ["error"]
    assert (talk.error().code, talk.error().event_id) == ("input_audio_buffer_commit_empty", "mine")
    _append(talk, _pcm(0.1, 2))
    _commit(talk)
    assert _recorded(talk, talk.got(InputCommitted)[0].item_id).audio == _pcm(seconds, 1) + _pcm(0.1, 2)


def test_a_clear_forgets_the_buffer_and_can_be_repeated() -> None:
    talk = Talk()
    _append(talk, _pcm(1.0))
    for _ in range(2):
        talk.tell(InputAudioClear())
    talk.deliver()
    assert len(talk.got(InputCleared)) == 2
    assert _commit(talk) == ["error"]
    assert talk.error().code == "input_audio_buffer_commit_empty"


def test_half_a_sample_is_refused_by_the_name_of_its_field() -> None:
    talk = Talk()
    assert _append(talk, b"abc", event_id="odd") == ["error"]
    assert (talk.error().code, talk.error().param, talk.error().event_id) == ("invalid_value", "audio", "odd")


def test_a_full_buffer_refuses_more_until_it_is_committed_or_cleared() -> None:
    talk = Talk(Limits(max_input_s=1.0))
    assert _append(talk, _pcm(0.6, 1)) == []
    assert _append(talk, _pcm(0.6, 2)) == ["error"]
    assert talk.error().code == "input_audio_buffer_full"
    assert _append(talk, _pcm(0.4, 3)) == []
    _commit(talk)
    assert _recorded(talk, talk.got(InputCommitted)[0].item_id).audio == _pcm(0.6, 1) + _pcm(0.4, 3)
    assert _append(talk, _pcm(1.0)) == []


def test_the_buffer_of_a_call_rolls_for_its_audio_never_stops() -> None:
    talk = Talk(Limits(max_input_s=1.0), plays=True)
    assert talk.session.listening.turn_detection is None
    for value in range(1, 6):
        assert _append(talk, _pcm(0.5, value)) == []
    _commit(talk)
    assert _recorded(talk, talk.got(InputCommitted)[0].item_id).audio == _pcm(0.5, 4) + _pcm(0.5, 5)


def test_with_turn_detection_the_buffer_rolls_and_keeps_the_newest() -> None:
    talk = Talk(Limits(max_input_s=1.0))
    talk.update(audio=SessionAudio(input=AudioInput(turn_detection=ServerVad())))
    for value in range(1, 6):
        assert _append(talk, _pcm(0.5, value)) == []
    assert _append(talk, _pcm(0.25, 6)) == []
    _commit(talk)
    audio = _recorded(talk, talk.got(InputCommitted)[0].item_id).audio
    assert audio == _pcm(0.25, 4) + _pcm(0.5, 5) + _pcm(0.25, 6)


def test_one_message_longer_than_a_rolling_buffer_leaves_its_end() -> None:
    talk = Talk(Limits(max_input_s=1.0))
    talk.update(audio=SessionAudio(input=AudioInput(turn_detection=ServerVad())))
    _append(talk, _pcm(1.5, 1) + _pcm(0.5, 2))
    _commit(talk)
    audio = _recorded(talk, talk.got(InputCommitted)[0].item_id).audio
    assert audio == _pcm(0.5, 1) + _pcm(0.5, 2)


def test_the_oldest_recordings_let_go_of_their_audio_and_stay_as_items() -> None:
    talk = Talk(Limits(max_clips_s=1.0))
    for value in (1, 2, 3):
        _append(talk, _pcm(0.5, value))
        _commit(talk)
    first, *others = (event.item_id for event in talk.got(InputCommitted))
    assert _recorded(talk, first) == InputAudio(transcript=None)
    assert [_recorded(talk, item).audio for item in others] == [_pcm(0.5, 2), _pcm(0.5, 3)]


def test_recordings_do_not_take_the_room_of_reference_clips() -> None:
    talk = Talk(Limits(max_clips_s=1.0))
    _append(talk, _pcm(1.0))
    _commit(talk)
    talk.item("user", InputAudio(audio=_pcm(1.0), transcript="A clip."))
    assert kind_of(talk.events[-1]) == "conversation.item.done"


def test_a_recording_is_no_reference_and_leaves_the_voice_as_it_was() -> None:
    talk = Talk()
    talk.speak()
    _append(talk, _pcm(0.5))
    _commit(talk)
    talk.speak()
    first, second = talk.clauses.values()
    assert first.context_id == second.context_id
    assert not second.voicing.references
    assert not talk.contexts_dropped


def test_a_recording_can_be_deleted_like_any_item() -> None:
    talk = Talk()
    _append(talk, _pcm(0.5))
    _commit(talk)
    talk.tell(ItemDelete(item_id=talk.got(InputCommitted)[0].item_id))
    assert [kind_of(event) for event in talk.deliver()] == ["conversation.item.deleted"]


def test_a_full_conversation_takes_no_recording_and_keeps_the_buffer() -> None:
    talk = Talk()
    for index in range(512):
        talk.item("user", f"number {index}", item_id=f"n{index}")
    _append(talk, _pcm(0.5))
    assert _commit(talk) == ["error"]
    assert talk.error().code == "too_many_items"
    talk.tell(ItemDelete(item_id="n3"))
    talk.deliver()
    assert _commit(talk)[0] == "input_audio_buffer.committed"


def test_a_brain_is_told_that_there_was_a_recording_without_words() -> None:
    talk = Talk()
    _append(talk, _pcm(0.5))
    _commit(talk)
    talk.tell(ResponseCreate())
    assert talk.said == [("user", "")]


def test_the_servers_playout_cannot_be_cleared_where_the_client_plays() -> None:
    talk = Talk()
    talk.tell(OutputAudioClear(event_id="c1"))
    talk.deliver()
    assert (talk.error().code, talk.error().event_id) == ("unsupported_event", "c1")
    assert "conversation.item.truncate" in talk.error().message
