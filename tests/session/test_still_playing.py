"""Scope: a session whose speech the server plays: when it is heard, how it is silenced, what history keeps of it."""

from typing import Any

import pytest

from protocol.client_events import (
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    OutputAudioClear,
    ResponseCancel,
    ResponseCreate,
)
from protocol.objects import AudioInput, OutputAudio, ResponseConfig, SemanticVad, ServerVad, SessionAudio
from protocol.server_events import (
    ItemDeleted,
    ItemRetrieved,
    ItemTruncated,
    PlayoutCleared,
    PlayoutStarted,
    PlayoutStopped,
)
from realtime.session.messages import SCORE_SAMPLES, AudioPlayed, BrainDone, BrainSaid, Drain, Tick, UserAudio
from realtime.session.shared import Limits
from tests.session.harness import RATE, Talk, content, kind_of

TEXT = "One two three four five six seven eight nine ten."


def _talk() -> Talk:
    return Talk(plays=True)


def _words(talk: Talk, item_id: str) -> str:
    talk.tell(ItemRetrieve(item_id=item_id))
    talk.deliver()
    (part,) = content(talk.got(ItemRetrieved)[-1].item)
    assert isinstance(part, OutputAudio)
    assert isinstance(part.transcript, str)
    return part.transcript


def test_a_response_starts_with_its_first_packet_and_stops_with_its_last_after_it_is_done() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(1.0)
    talk.deliver()
    assert not talk.got(PlayoutStarted)
    assert [kind_of(event) for event in talk.play(0.5)] == ["output_audio_buffer.started"]
    talk.audio(1.0)
    talk.end()
    talk.deliver()
    assert talk.done(response).status == "completed"
    assert talk.kinds()[-1] == "response.done"
    assert talk.play(1.4) == []
    (stopped,) = talk.play(1.0)
    assert stopped == PlayoutStopped(event_id=stopped.event_id, response_id=response)


def test_no_audio_is_sent_as_an_event_where_the_server_plays() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.run_engine(1.0)
    assert talk.audio_of(response) == 0
    assert "response.output_audio.done" in talk.kinds()


def test_speech_that_was_played_before_the_response_was_done_stops_right_after_it() -> None:
    talk = _talk()
    talk.respond(TEXT)
    talk.audio(0.5)
    talk.deliver()
    talk.play(1.0)
    assert not talk.got(PlayoutStopped), "more may come"
    talk.end()
    talk.deliver()
    assert talk.kinds()[-2:] == ["response.done", "output_audio_buffer.stopped"]


def test_a_cancel_takes_back_what_was_not_heard_and_says_where_it_was_cut() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(2.0)
    talk.deliver()
    talk.play(0.61)
    talk.tell(ResponseCancel())
    talk.deliver()
    kinds = talk.kinds()
    assert kinds.index("output_audio_buffer.cleared") < kinds.index("response.done")
    assert kinds[-1] == "conversation.item.truncated"
    item = talk.message_of(response)
    assert talk.got(ItemTruncated) == [ItemTruncated(event_id=talk.events[-1].event_id, item_id=item, audio_end_ms=610)]
    assert talk.playout == []
    assert TEXT.startswith(_words(talk, item))
    assert 0 < len(_words(talk, item)) < len(TEXT)
    assert not talk.got(PlayoutStopped)


def test_what_was_heard_is_counted_in_samples_whatever_the_clock_says() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(2.0)
    talk.deliver()
    talk.now += 30.0
    talk.tell(ResponseCancel())
    talk.deliver()
    assert talk.got(ItemTruncated)[0].audio_end_ms == 0
    assert _words(talk, talk.message_of(response)) == ""


def test_a_clear_silences_a_response_that_is_done_and_still_heard() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(2.0)
    talk.end()
    talk.deliver()
    item = talk.message_of(response)
    assert _words(talk, item) == TEXT
    talk.play(1.0)
    talk.tell(OutputAudioClear())
    cut = talk.deliver()
    assert [kind_of(event) for event in cut] == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    assert talk.got(ItemTruncated)[0].audio_end_ms == 1000
    assert talk.playout == []
    assert _words(talk, item) != TEXT
    assert len([kind for kind in talk.kinds() if kind == "response.done"]) == 1


def test_a_clear_ends_what_is_still_being_made() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(1.0)
    talk.deliver()
    talk.play(0.2)
    talk.tell(OutputAudioClear())
    talk.deliver()
    assert talk.done(response).status == "cancelled"
    assert len(talk.got(PlayoutCleared)) == 1


def test_a_clear_with_nothing_to_be_heard_changes_nothing() -> None:
    talk = _talk()
    talk.speak(TEXT)
    talk.play(10.0)
    talk.tell(OutputAudioClear())
    assert talk.deliver() == []


def test_a_response_may_begin_while_the_one_before_is_still_heard() -> None:
    talk = _talk()
    first = talk.respond(TEXT)
    talk.audio(1.5)
    talk.end()
    talk.deliver()
    talk.play(0.5)
    second = talk.respond(TEXT)
    assert talk.clauses[talk.running].lead_s == 1.0, "the listener needs it when the first one is over"
    talk.audio(1.0)
    talk.end()
    talk.deliver()
    talk.play(10.0)
    told = (PlayoutStarted, PlayoutStopped, PlayoutCleared)
    heard = [(kind_of(event), event.response_id) for event in talk.events if isinstance(event, told)]
    started, stopped = "output_audio_buffer.started", "output_audio_buffer.stopped"
    assert heard == [(started, first), (stopped, first), (started, second), (stopped, second)]


@pytest.mark.parametrize("detection", [ServerVad(), SemanticVad()])
def test_an_interruption_silences_everything_that_is_heard(detection: Any) -> None:
    talk, first, aside = _two_heard(detection)
    talk.tell(_speech())
    kinds = [kind_of(event) for event in talk.deliver()]
    assert kinds[0] == "input_audio_buffer.speech_started"
    assert {event.response_id for event in talk.got(PlayoutCleared)} == {first, aside}
    done = talk.done(aside)
    assert done.status == "cancelled"
    assert done.status_details is not None
    assert done.status_details.reason == "turn_detected"
    assert [event.audio_end_ms for event in talk.got(ItemTruncated)] == [500], "out of band there is no item to cut"
    assert talk.playout == []


def test_who_does_not_want_to_be_interrupted_is_heard_out() -> None:
    talk, first, aside = _two_heard(ServerVad(interrupt_response=False))
    talk.tell(_speech())
    assert [kind_of(event) for event in talk.deliver()] == ["input_audio_buffer.speech_started"]
    talk.end(clause=talk.clause_of(aside))
    talk.deliver()
    talk.play(10.0)
    assert [event.response_id for event in talk.got(PlayoutStopped)] == [first, aside]


def _two_heard(detection: Any) -> tuple[Talk, str, str]:
    """A response that is done and still heard, half a second of it by now, and one out of band to be heard after it."""
    talk = Talk(plays=True, hears="script")
    talk.update(audio=SessionAudio(input=AudioInput(turn_detection=detection)))
    first = talk.respond(TEXT)
    talk.audio(1.5)
    talk.end()
    talk.deliver()
    talk.tell(ResponseCreate(response=ResponseConfig(conversation="none")))
    talk.deliver()
    aside = talk.asked[-1].response_id
    talk.tell(BrainSaid(aside, "Beside it."))
    talk.tell(BrainDone(aside))
    talk.audio(1.0, talk.clause_of(aside))
    talk.deliver()
    talk.play(0.5)
    return talk, first, aside


def _speech() -> UserAudio:
    """What begins a turn."""
    return UserAudio(bytes(2 * 3 * SCORE_SAMPLES), (0.9, 0.9, 0.9))


# --- the client says what was heard ---


@pytest.mark.parametrize(
    ("asked_ms", "cut_ms"), [(0, 0), (400, 400), (999, 999), (1000, 1000), (1001, 1000), (1200, 1000)]
)
def test_a_truncation_takes_back_what_is_still_heard_of_a_response_that_is_done(asked_ms: int, cut_ms: int) -> None:
    talk, item = _heard_and_done()
    talk.play(1.0)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=asked_ms))
    assert [kind_of(event) for event in talk.deliver()] == [
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]
    assert talk.got(ItemTruncated)[0].audio_end_ms == cut_ms
    assert talk.playout == []
    assert TEXT.startswith(_words(talk, item))
    assert len(_words(talk, item)) <= len(TEXT) * cut_ms / 2000
    assert talk.play(10.0) == []


def test_a_truncation_of_what_is_still_being_made_ends_it_and_is_told_once() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(2.0)
    talk.deliver()
    talk.play(0.6)
    clause, item = talk.running, talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=400))
    kinds = [kind_of(event) for event in talk.deliver()]
    assert (kinds[0], kinds[-2:]) == (
        "output_audio_buffer.cleared",
        ["response.done", "conversation.item.truncated"],
    )
    assert talk.cancelled == [clause]
    assert [event.audio_end_ms for event in talk.got(ItemTruncated)] == [400]
    (part,) = content(talk.done(response).output[0])
    assert part == OutputAudio(transcript=_words(talk, item))
    assert 0 < len(_words(talk, item)) <= len(TEXT) * 0.2


def test_nothing_can_have_been_heard_that_was_not_played_however_much_was_sent() -> None:
    talk, item = _heard_and_done()
    talk.play(0.5)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=701))
    talk.deliver()
    assert (talk.error().code, talk.error().param) == ("invalid_value", "audio_end_ms")
    assert "500 ms" in talk.error().message
    (stopped,) = talk.play(10.0)
    assert isinstance(stopped, PlayoutStopped), "what is refused changes nothing"
    assert _words(talk, item) == TEXT


def test_a_truncation_before_the_first_packet_leaves_nothing() -> None:
    talk, item = _heard_and_done()
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=150))
    talk.deliver()
    assert talk.got(ItemTruncated)[0].audio_end_ms == 0
    assert _words(talk, item) == ""
    assert talk.play(10.0) == []
    assert not talk.got(PlayoutStarted)


def test_a_truncation_after_all_was_heard_only_changes_the_message() -> None:
    talk, item = _heard_and_done()
    talk.play(10.0)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1000))
    assert [kind_of(event) for event in talk.deliver()] == ["conversation.item.truncated"]
    assert 0 < len(_words(talk, item)) < len(TEXT)
    assert not talk.got(PlayoutCleared)


def test_what_was_taken_back_stays_taken_back_whatever_is_said_later() -> None:
    talk, item = _heard_and_done()
    talk.play(1.0)
    talk.tell(OutputAudioClear())
    talk.deliver()
    words = _words(talk, item)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1100))
    assert [kind_of(event) for event in talk.deliver()] == ["conversation.item.truncated"]
    assert talk.got(ItemTruncated)[-1].audio_end_ms == 1000
    assert _words(talk, item) == words


def test_a_truncation_silences_its_own_message_and_no_other() -> None:
    talk, item = _heard_and_done()
    talk.play(1.0)
    second = talk.respond(TEXT)
    talk.audio(1.0)
    talk.end()
    talk.deliver()
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1000))
    talk.deliver()
    assert {response for response, _ in talk.playout} == {second}
    talk.play(10.0)
    assert [event.response_id for event in talk.got(PlayoutStopped)] == [second]


def test_an_item_that_is_deleted_while_it_is_heard_is_not_spoken_of_when_it_is_taken_back() -> None:
    talk, item = _heard_and_done()
    talk.play(0.5)
    talk.tell(ItemDelete(item_id=item))
    talk.deliver()
    assert [event.item_id for event in talk.got(ItemDeleted)] == [item]
    talk.tell(OutputAudioClear())
    assert [kind_of(event) for event in talk.deliver()] == ["output_audio_buffer.cleared"]
    assert talk.playout == []


def _heard_and_done() -> tuple[Talk, str]:
    """A response of two seconds that is done and waits to be heard, and the id of its message."""
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(2.0)
    talk.end()
    talk.deliver()
    assert talk.done(response).status == "completed"
    return talk, talk.message_of(response)


def test_a_response_that_was_never_heard_is_cleared_all_the_same() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(1.0)
    talk.deliver()
    talk.tell(ResponseCancel())
    talk.deliver()
    assert not talk.got(PlayoutStarted)
    assert [event.response_id for event in talk.got(PlayoutCleared)] == [response]


def test_reports_about_speech_that_was_taken_back_are_ignored() -> None:
    talk = _talk()
    response = talk.respond(TEXT)
    talk.audio(1.0)
    talk.deliver()
    talk.tell(ResponseCancel())
    talk.deliver()
    before = len(talk.events)
    talk.tell(AudioPlayed(response, RATE))
    assert talk.deliver() == []
    assert len(talk.events) == before


def test_text_without_speech_is_never_playing() -> None:
    talk = _talk()
    talk.respond(TEXT, output_modalities=["text"])
    talk.deliver()
    assert "response.done" in talk.kinds()
    assert not talk.got(PlayoutStarted)
    assert not talk.got(PlayoutStopped)


def test_a_server_that_is_about_to_stop_lets_what_was_said_be_heard() -> None:
    talk, _ = _heard_and_done()
    talk.play(0.5)
    talk.tell(Drain())
    talk.deliver()
    assert talk.closed is None
    (stopped,) = talk.play(10.0)
    assert isinstance(stopped, PlayoutStopped)
    talk.deliver()
    assert talk.closed is not None


def test_at_the_end_of_a_session_what_is_still_heard_is_taken_back_and_said_to_be() -> None:
    talk, _ = _heard_and_done()
    talk.play(0.5)
    talk.now += Limits().max_session_s
    talk.tell(Tick())
    assert [kind_of(event) for event in talk.deliver()] == [
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]
    assert talk.closed is not None
    assert talk.playout == []
