"""Scope: cancel and truncate: what stops, what was heard, what the history says afterwards."""

from protocol.client_events import (
    ItemRetrieve,
    ItemTruncate,
    ResponseCancel,
    ResponseCreate,
)
from protocol.objects import AudioOutput, OutputAudio, SessionAudio
from protocol.server_events import (
    ContentPartDone,
    Error,
    ItemAdded,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    OutputItemDone,
    Part,
    TranscriptDone,
)
from realtime.session.messages import AudioSent, BrainDone, BrainSaid
from tests.session.harness import RATE, Talk, content, kind_of


def _words(talk: Talk, item_id: str) -> str:
    talk.tell(ItemRetrieve(item_id=item_id))
    talk.deliver()
    part = talk.got(ItemRetrieved)[-1].item.content[0]
    assert isinstance(part, OutputAudio)
    assert isinstance(part.transcript, str)
    return part.transcript


def test_a_cancel_before_the_first_word_ends_the_response() -> None:
    talk = Talk()
    response = talk.respond(None)
    talk.tell(ResponseCancel())
    talk.deliver()
    done = talk.done(response)
    assert done.status == "cancelled"
    assert done.status_details is not None
    assert (done.status_details.type, done.status_details.reason) == ("cancelled", "client_cancelled")
    assert talk.stopped == [response]
    assert not talk.cancelled
    talk.tell(BrainSaid(response, "Too late."))
    talk.tell(BrainDone(response))
    assert not talk.clauses
    assert not talk.outbox


def test_a_cancel_in_the_middle_drops_what_waits_and_what_still_comes() -> None:
    talk = Talk()
    response = talk.respond("A sentence of several words here. " * 6)
    clause = talk.running
    talk.audio(1.0)
    talk.deliver()
    talk.audio(1.0)
    talk.now += 0.5
    talk.tell(ResponseCancel(response_id=response))
    assert talk.cancelled == [clause]
    talk.audio(1.0, clause)
    talk.end("cancelled", clause)
    talk.deliver()
    assert talk.audio_of(response) == RATE
    assert talk.done(response).status == "cancelled"
    assert len(talk.clauses) == 1
    assert talk.kinds()[-1] == "response.done"


def test_a_cancel_while_the_rest_is_sent_ends_the_response_once() -> None:
    talk = Talk()
    response = talk.respond()
    talk.audio(1.0)
    talk.end()
    talk.tell(ResponseCancel())
    talk.deliver()
    talk.tell(AudioSent(response, RATE))
    talk.deliver()
    assert talk.done(response).status == "cancelled"
    assert talk.audio_of(response) == 0
    assert not talk.cancelled


def test_a_late_end_of_a_cancelled_clause_does_not_touch_the_next_response() -> None:
    talk = Talk()
    talk.respond()
    old = talk.running
    talk.tell(ResponseCancel())
    talk.deliver()
    response = talk.respond()
    talk.end("cancelled", old)
    talk.audio(2.0, old)
    talk.deliver()
    assert talk.audio_of(response) == 0
    talk.audio(0.5)
    talk.end()
    talk.deliver()
    assert talk.done(response).status == "completed"
    assert talk.audio_of(response) == RATE // 2


def test_cancelling_nothing_or_another_response_is_an_error_and_no_more() -> None:
    talk = Talk()
    talk.tell(ResponseCancel(event_id="e1"))
    talk.deliver()
    assert (talk.error().code, talk.error().event_id) == ("response_cancel_not_active", "e1")
    talk.respond()
    talk.tell(ResponseCancel(response_id="resp_other"))
    talk.deliver()
    assert talk.error().code == "response_cancel_not_active"
    assert talk.session.live is not None


def test_an_interrupted_response_says_what_could_have_been_heard() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(4.0)
    talk.deliver()
    talk.now += 2.0
    talk.tell(ResponseCancel())
    talk.deliver()
    part = content(talk.done(response).output[0])[0]
    assert isinstance(part, OutputAudio)
    assert part.transcript == "One two three four"
    assert talk.asked  # and the next turn is told the same
    talk.tell(ResponseCreate())
    assert talk.said[-1] == ("assistant", "One two three four")


def test_a_client_may_say_what_was_heard_after_the_end() -> None:
    talk = Talk()
    talk.respond("One two three four five six seven eight.")
    talk.audio(4.0)
    talk.end()
    talk.deliver()
    item = talk.got(ItemAdded)[-1].item.id
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1000))
    assert [kind_of(event) for event in talk.deliver()] == ["conversation.item.truncated"]
    assert _words(talk, item) == "One two"
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=0))
    talk.deliver()
    assert _words(talk, item) == ""


def test_a_client_may_say_what_was_heard_in_the_middle_and_that_ends_the_speech() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(4.0)
    talk.deliver()
    item = talk.got(ItemAdded)[-1].item.id
    clause = talk.running
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1000))
    events = [kind_of(event) for event in talk.deliver()]
    assert events[-2:] == ["response.done", "conversation.item.truncated"]
    assert talk.done(response).status == "cancelled"
    assert talk.cancelled == [clause]
    assert _words(talk, item) == "One two"


def test_a_cut_a_little_past_the_end_means_the_end_and_further_is_an_error() -> None:
    talk = Talk()
    talk.respond("One two three.")
    talk.audio(1.0)
    talk.end()
    talk.deliver()
    item = talk.got(ItemAdded)[-1].item.id
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1200))
    talk.deliver()
    assert talk.got(ItemTruncated)[-1].audio_end_ms == 1000
    assert _words(talk, item) == "One two three."
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1201))
    talk.deliver()
    assert (talk.error().code, talk.error().param) == ("invalid_value", "audio_end_ms")


def test_what_was_cut_stays_cut() -> None:
    talk = Talk()
    talk.respond("One two three four five six seven eight.")
    talk.audio(4.0)
    talk.end()
    talk.deliver()
    item = talk.got(ItemAdded)[-1].item.id
    for end in (1000, 3000):
        talk.tell(ItemTruncate(item_id=item, audio_end_ms=end))
    talk.deliver()
    assert [event.audio_end_ms for event in talk.got(ItemTruncated)] == [1000, 1000]
    assert _words(talk, item) == "One two"


def test_only_speech_can_be_truncated() -> None:
    talk = Talk()
    talk.item("user", "words", item_id="x")
    talk.tell(ItemTruncate(item_id="x", audio_end_ms=0))
    talk.deliver()
    assert talk.error().param == "item_id"


def test_truncated_while_it_is_spoken_the_last_events_show_the_truncated_message() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(4.0)
    talk.deliver()
    talk.now += 3.0  # by our clock more was heard than the client says
    item = talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1000))
    talk.deliver()
    heard = [OutputAudio(transcript="One two")]
    assert talk.got(TranscriptDone)[-1].transcript == "One two"
    assert talk.got(ContentPartDone)[-1].part == Part("One two")
    assert talk.got(OutputItemDone)[-1].item.content == heard
    assert talk.got(ItemDone)[-1].item.content == heard
    assert content(talk.done(response).output[0]) == heard
    assert _words(talk, item) == "One two"


def test_truncated_while_it_is_spoken_the_clients_clock_counts_also_where_ours_is_behind() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(4.0)
    talk.deliver()
    talk.now += 0.1
    item = talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1000))
    talk.deliver()
    assert content(talk.done(response).output[0]) == [OutputAudio(transcript="One two")]
    assert _words(talk, item) == "One two"


def test_a_cancel_and_then_a_truncation_leave_what_the_client_heard() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(4.0)
    talk.deliver()
    talk.now += 3.0
    talk.tell(ResponseCancel())
    item = talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=1000))
    events = [kind_of(event) for event in talk.deliver()]
    assert events[-2:] == ["response.done", "conversation.item.truncated"]
    assert events.count("response.done") == 1
    assert _words(talk, item) == "One two"
    talk.tell(ResponseCreate())
    assert talk.said[-1] == ("assistant", "One two")


def test_what_was_generated_and_never_sent_cannot_have_been_heard() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(2.0)
    talk.deliver()
    talk.audio(2.0)
    item = talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=4000))
    assert talk.session.live is not None, "what is refused changes nothing"
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=2100))
    talk.deliver()
    (error,) = (event.error for event in talk.got(Error))
    assert (error.code, error.param) == ("invalid_value", "audio_end_ms")
    assert "2000 ms" in error.message
    assert talk.got(ItemTruncated)[-1].audio_end_ms == 2000
    assert _words(talk, item) == "One two three four"
    assert talk.audio_of(response) == 2 * RATE


def test_a_truncation_while_the_rest_is_sent_takes_the_rest_back() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(2.0)
    talk.deliver()
    talk.audio(2.0)
    talk.end()
    talk.tell(ItemTruncate(item_id=talk.message_of(response), audio_end_ms=500))
    talk.deliver()
    assert talk.audio_of(response) == 2 * RATE
    assert talk.done(response).status == "cancelled"
    assert not talk.cancelled, "the engine had finished"


def test_a_truncation_at_nothing_leaves_an_empty_message() -> None:
    talk = Talk()
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(1.0)
    talk.deliver()
    item = talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=0))
    talk.deliver()
    assert _words(talk, item) == ""
    assert talk.done(response).output[0].status == "incomplete"


def test_audio_at_another_speed_is_truncated_by_what_the_listener_hears() -> None:
    talk = Talk()
    talk.update(audio=SessionAudio(output=AudioOutput(speed=2.0)))
    response = talk.respond("One two three four five six seven eight.")
    talk.audio(2.0)  # what comes back is already twice as fast
    talk.end()
    talk.deliver()
    item = talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=500))
    talk.deliver()
    assert _words(talk, item) == "One two"
