"""Scope: responses that are written instead of spoken, and responses that may only be so long."""

from protocol.client_events import ItemTruncate, ResponseCancel
from protocol.objects import OutputAudio, OutputText
from protocol.server_events import OutputTextDelta, OutputTextDone
from realtime.request import Speak
from realtime.session.messages import BrainDone, BrainFailed, BrainSaid
from tests.session.harness import Talk, content


def test_a_written_response_has_text_events_and_needs_no_engine() -> None:
    talk = Talk()
    talk.update(output_modalities=["text"])
    since = len(talk.events)
    response = talk.respond(None)
    for piece in ("Hello ", "there."):
        talk.tell(BrainSaid(response, piece))
    talk.tell(BrainDone(response))
    talk.deliver()
    assert talk.kinds(since) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert [event.delta for event in talk.got(OutputTextDelta)] == ["Hello ", "there."]
    assert talk.got(OutputTextDone)[0].text == "Hello there."
    done = talk.done(response)
    assert (done.status, done.output_modalities) == ("completed", ["text"])
    assert content(done.output[0]) == [OutputText("Hello there.")]
    assert not any(isinstance(effect, Speak) for effect in talk.effects)
    assert content(talk.speak(output_modalities=["audio"]).output[0]) == [OutputAudio(transcript="Hello there.")]


def test_a_cancelled_written_response_keeps_what_was_written() -> None:
    talk = Talk()
    response = talk.respond(None, output_modalities=["text"])
    talk.tell(BrainSaid(response, "Half of "))
    talk.tell(ResponseCancel())
    talk.deliver()
    done = talk.done(response)
    assert (done.status, done.output[0].status) == ("cancelled", "incomplete")
    assert content(done.output[0]) == [OutputText("Half of ")]


def test_what_is_written_cannot_be_truncated_like_speech() -> None:
    talk = Talk()
    response = talk.respond("Written words.", output_modalities=["text"])
    talk.deliver()
    talk.tell(ItemTruncate(item_id=talk.message_of(response), audio_end_ms=0))
    talk.deliver()
    assert (talk.error().code, talk.error().param) == ("invalid_value", "item_id")
    talk.respond(None)
    assert talk.said == [("assistant", "Written words.")]


# --- max_output_tokens ---

LONG = "A sentence of several words here. " * 6


def test_the_clients_limit_goes_down_clause_by_clause() -> None:
    talk = Talk()
    talk.respond(LONG, max_output_tokens=100)
    assert talk.clauses[talk.running].max_frames == 100
    talk.audio()
    talk.end(frames=30)
    assert talk.clauses[talk.running].max_frames == 70


def test_speech_that_reaches_the_clients_limit_ends_incomplete_and_says_so() -> None:
    talk = Talk()
    response = talk.respond(LONG, max_output_tokens=50)
    talk.audio()
    talk.end(frames=30)
    talk.audio()
    talk.end("length", frames=20)
    talk.deliver()
    done = talk.done(response)
    assert (done.status, done.max_output_tokens) == ("incomplete", 50)
    assert done.status_details is not None
    assert (done.status_details.type, done.status_details.reason) == ("incomplete", "max_output_tokens")
    assert done.usage is not None
    assert done.usage.output_tokens == 50
    assert done.output[0].status == "incomplete"
    assert len(talk.clauses) == 2
    assert talk.speak().status == "completed"


def test_a_limit_that_is_just_enough_is_no_limit() -> None:
    talk = Talk()
    response = talk.respond("Hello there.", max_output_tokens=25)
    talk.audio()
    talk.end("stop", frames=25)
    talk.deliver()
    assert talk.done(response).status == "completed"


def test_a_brain_that_talks_on_after_the_limit_is_stopped_and_not_listened_to() -> None:
    talk = Talk()
    response = talk.respond(None, max_output_tokens=25)
    talk.tell(BrainSaid(response, "The first sentence is here. "))
    talk.audio()
    talk.end("stop", frames=25)
    talk.tell(BrainSaid(response, "And the second one, which is longer, is too much. "))
    assert talk.stopped == [response]
    talk.tell(BrainSaid(response, "The brain, still under way, has not noticed it yet. "))
    talk.tell(BrainFailed(response, "Too late."))
    talk.tell(BrainDone(response))
    talk.deliver()
    done = talk.done(response)
    assert done.status == "incomplete"
    assert len(talk.clauses) == 1


def test_a_stream_beyond_the_limit_is_dropped_until_its_end() -> None:
    talk = Talk()
    talk.update(max_output_tokens=25)
    talk.stream("The first sentence is here. And the second one is too much. ")
    talk.audio()
    talk.end("length", frames=25)
    talk.stream("What still comes of it is not heard.")
    talk.end_stream()
    assert talk.kinds()[-1] == "response.done"
    assert len(talk.clauses) == 1
