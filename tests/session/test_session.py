"""Scope: one response from its first word to its last, its failures, and the end of a session."""

import msgspec
import pytest

from protocol.client_events import (
    ResponseCancel,
    ResponseCreate,
)
from protocol.encodings import JSON, BadMessage
from protocol.objects import ErrorBody, MessageItem, OutputAudio, ResponseError, TokenDetails
from protocol.server_events import (
    AudioDelta,
    RateLimitsUpdated,
    ResponseDone,
    TranscriptDelta,
)
from realtime.request import Speak
from realtime.session.messages import (
    BrainDone,
    BrainFailed,
    BrainSaid,
    CancelClause,
    Close,
    Disconnected,
    Drain,
    DropAudio,
    Send,
    SendAudio,
    Tick,
)
from realtime.session.shared import Limits
from realtime.session.states import SessionState
from tests.session.harness import RATE, Talk, content, generation

ORDER = [
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


# --- one response ---


def test_a_spoken_response_has_the_order_of_events_that_clients_wait_for() -> None:
    talk = Talk()
    talk.item("user", "Hello there.")
    since = len(talk.events)
    response = talk.respond("Hello there.")
    talk.audio(0.3)
    talk.audio(0.7)
    talk.end()
    talk.deliver()
    assert talk.kinds(since) == ORDER
    done = talk.done(response)
    assert (done.status, done.status_details) == ("completed", None)
    assert content(done.output[0]) == [OutputAudio(transcript="Hello there.")]
    assert talk.finished == [response]


def test_a_response_without_a_word_completes_without_a_message() -> None:
    talk = Talk()
    since = len(talk.events)
    response = talk.respond("")
    talk.deliver()
    assert talk.kinds(since) == ["response.created", "rate_limits.updated", "response.done"]
    assert (talk.done(response).status, talk.done(response).output) == ("completed", [])


def test_usage_adds_up_what_every_clause_took() -> None:
    talk = Talk()
    response = talk.respond(
        "The first sentence is as long as this. And the second sentence is also as long as this one."
    )
    for prompt, audio, cached, frames in ((30, 12, 10, 25), (50, 20, 40, 30)):
        talk.audio()
        talk.end(prompt_positions=prompt, audio_positions=audio, cached_positions=cached, frames=frames)
    talk.deliver()
    usage = talk.done(response).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (80, 55, 135)
    assert usage.input_token_details == TokenDetails(text_tokens=48, audio_tokens=32, cached_tokens=50)
    assert (usage.output_token_details.text_tokens, usage.output_token_details.audio_tokens) == (0, 55)


@pytest.mark.parametrize("ends", ["cancelled", "lost"])
def test_usage_counts_what_a_clause_took_before_it_was_broken_off(ends: str) -> None:
    talk = Talk()
    response = talk.respond("The first sentence is as long as this. And the second sentence is also as long as this.")
    talk.audio()
    talk.end(prompt_positions=30, audio_positions=12, cached_positions=10, frames=25)
    for frames in (8, 16):
        talk.audio(prompt_positions=50, audio_positions=20, cached_positions=40, frames=frames)
    talk.deliver()
    if ends == "cancelled":
        talk.tell(ResponseCancel())
    else:
        talk.end("failed")  # an engine that is gone tells no counts
    talk.deliver()
    usage = talk.done(response).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (80, 41, 121)
    assert usage.input_token_details == TokenDetails(text_tokens=48, audio_tokens=32, cached_tokens=50)


def test_a_response_under_way_counts_against_the_rate_limit_until_it_is_over() -> None:
    talk = Talk(Limits(max_out_of_band=3))
    for conversation in ("auto", "none", "none"):
        talk.respond(conversation=conversation)
    left = [event.rate_limits[0] for event in talk.got(RateLimitsUpdated)]
    assert [(limit.name, limit.limit, limit.remaining) for limit in left] == [
        ("requests", 4, 3),
        ("requests", 4, 2),
        ("requests", 4, 1),
    ]
    talk.run_engine()
    talk.speak()
    assert talk.got(RateLimitsUpdated)[-1].rate_limits[0].remaining == 3


def test_every_event_of_a_response_names_it_and_has_an_id_of_its_own() -> None:
    talk = Talk()
    talk.item("user", "Hello there.")
    response = talk.speak().id
    shown = [msgspec.json.decode(JSON.encode(event)) for event in talk.events]
    assert len({event["event_id"] for event in shown}) == len(shown)
    mine = [event for event in shown if event["type"].startswith("response.")]
    assert {event.get("response_id") or event["response"]["id"] for event in mine} == {response}
    item = next(event["item"]["id"] for event in mine if event["type"] == "response.output_item.added")
    assert {event["item_id"] for event in mine if "item_id" in event} == {item}


def test_long_text_is_spoken_clause_after_clause_without_a_gap_in_the_words() -> None:
    talk = Talk()
    text = "The first sentence is here. " * 8
    response = talk.speak(text, seconds=1.5)
    clauses = list(talk.clauses.values())
    assert len(clauses) > 2
    deltas = talk.got(TranscriptDelta)
    assert "".join(delta.delta for delta in deltas) == text
    heard: list[float] = []
    for clause in clauses:  # the first word of each clause is told to begin where its audio begins
        words = len(clause.text.split())
        heard.append(deltas[0].start_time)
        del deltas[:words]
    assert heard == [1.5 * index for index in range(len(clauses))]
    assert content(response.output[0]) == [OutputAudio(transcript=text)]
    assert [clause.more for clause in clauses] == [True] * (len(clauses) - 1) + [False]
    assert len({clause.context_id for clause in clauses}) == 1
    assert response.status == "completed"


def test_a_clause_is_told_how_much_its_listener_still_holds() -> None:
    talk = Talk()
    talk.respond("The first sentence is as long as this. And the second sentence is also as long as this one. ")
    talk.audio(3.0)
    talk.deliver()
    talk.now += 1.0
    talk.end()
    assert talk.clauses[talk.running].lead_s == pytest.approx(2.0)


def test_words_may_come_while_speech_runs() -> None:
    talk = Talk()
    response = talk.respond(None)
    for piece in ("One sentence ", "is complete now. ", "Another one "):
        talk.tell(BrainSaid(response, piece))
    assert [clause.text for clause in talk.clauses.values()] == ["One sentence is complete now."]
    talk.audio()
    talk.end()
    assert talk.session.live is not None
    talk.tell(BrainSaid(response, "follows later."))
    talk.tell(BrainDone(response))
    talk.audio()
    talk.end()
    talk.deliver()
    assert content(talk.done(response).output[0]) == [
        OutputAudio(transcript="One sentence is complete now. Another one follows later.")
    ]


def test_text_without_a_word_is_shown_and_not_spoken() -> None:
    talk = Talk()
    response = talk.respond("… !!! ")
    talk.deliver()
    assert not talk.clauses
    assert content(talk.done(response).output[0]) == [OutputAudio(transcript="… !!! ")]


def test_a_second_response_waits_for_the_end_of_the_first() -> None:
    talk = Talk()
    response = talk.respond()
    talk.tell(ResponseCreate(event_id="mine"))
    talk.deliver()
    assert (talk.error().code, talk.error().event_id) == ("conversation_already_has_active_response", "mine")
    talk.audio()
    talk.end()
    talk.deliver()
    assert talk.done(response).status == "completed"
    assert talk.speak().status == "completed"


def test_a_seed_makes_a_response_repeatable_and_differs_from_clause_to_clause() -> None:
    seeds = []
    for _ in range(2):
        talk = Talk()
        talk.speak("A sentence of several words here. " * 6, voiced=generation(seed=7))
        seeds.append([clause.seed for clause in talk.clauses.values()])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == len(seeds[0]) > 1


# --- failure ---


@pytest.mark.parametrize(
    ("reason", "code", "kind"),
    [
        ("failed", "engine_failed", "server_error"),
        ("cancelled", "engine_failed", "server_error"),
        ("overloaded", "overloaded", "server_error"),
        ("invalid", "invalid_value", "invalid_request_error"),
    ],
)
def test_what_goes_wrong_in_the_engine_ends_the_response_as_failed(reason: str, code: str, kind: str) -> None:
    talk = Talk()
    response = talk.respond("A sentence of several words here. " * 6)
    talk.audio(0.5)
    talk.deliver()
    talk.audio(0.5)
    talk.end(reason, error="This is why.")
    talk.deliver()
    done = talk.done(response)
    assert done.status == "failed"
    assert done.status_details is not None
    error = done.status_details.error
    assert error is not msgspec.UNSET
    assert (error.code, error.type, error.message) == (code, kind, "This is why.")
    assert talk.audio_of(response) == RATE // 2
    assert len(talk.clauses) == 1
    assert not talk.cancelled
    assert talk.speak().status == "completed"


def test_speech_that_reached_its_cap_is_incomplete_and_says_so() -> None:
    talk = Talk()
    response = talk.respond("A sentence of several words here. " * 6)
    talk.audio()
    talk.end("length")
    while talk.session.live is not None and talk.session.live.running is not None:
        talk.audio()
        talk.end()
    talk.deliver()
    done = talk.done(response)
    assert done.status == "incomplete"
    assert done.status_details is not None
    assert done.status_details.reason == "max_output_tokens"


def test_nothing_to_say_fails_the_response_with_the_reason() -> None:
    talk = Talk()
    response = talk.respond(None)
    talk.tell(BrainFailed(response, "There is nothing to speak."))
    talk.deliver()
    done = talk.done(response)
    assert done.status_details is not None
    assert done.status_details.error is not msgspec.UNSET
    assert done.status_details.error.code == "nothing_to_say"


def test_a_brain_that_fails_says_its_sentence_first_and_the_session_goes_on() -> None:
    talk = Talk()
    response = talk.respond(None)
    talk.tell(BrainFailed(response, "Look at brain_url.", "brain_unreachable", "Sorry, please try again."))
    talk.audio()
    talk.end()
    talk.deliver()
    done = talk.done(response)
    assert done.status == "failed"
    assert done.status_details is not None
    assert done.status_details.error == ResponseError("server_error", "brain_unreachable", "Look at brain_url.")
    assert list(talk.clauses.values())[-1].text == "Sorry, please try again."
    assert isinstance(done.output[0], MessageItem)
    assert done.output[0].status == "completed"
    assert talk.speak().status == "completed"


@pytest.mark.parametrize("spoken", ["", "Sorry."])
def test_what_a_brain_said_before_it_failed_is_heard_to_its_end(spoken: str) -> None:
    talk = Talk()
    response = talk.respond(None)
    talk.tell(BrainSaid(response, "The capital of France is, as far as I know,"))
    talk.tell(BrainFailed(response, "It broke off.", "brain_failed", spoken))
    talk.audio()
    talk.end()
    talk.deliver()
    done = talk.done(response)
    assert done.status == "failed"
    assert not any(isinstance(effect, DropAudio) for effect in talk.effects)
    (message,) = done.output
    assert isinstance(message, MessageItem)
    assert message.content == [OutputAudio(transcript=f"The capital of France is, as far as I know, {spoken}".strip())]


def test_a_user_who_interrupts_the_sentence_of_a_failure_cancels_the_response() -> None:
    talk = Talk()
    response = talk.respond(None)
    talk.tell(BrainFailed(response, "It broke off.", "brain_failed", "Sorry."))
    talk.audio()
    talk.tell(ResponseCancel())
    talk.deliver()
    assert talk.done(response).status == "cancelled"


def test_a_bad_message_is_answered_with_its_error() -> None:
    talk = Talk()
    body = ErrorBody("invalid_request_error", "invalid_json", "No.", None, "e7")
    talk.tell(BadMessage(body))
    talk.deliver()
    assert talk.error() == body
    assert talk.speak().status == "completed"


# --- the end ---


def test_a_draining_session_finishes_its_sentence_takes_no_more_and_closes() -> None:
    talk = Talk()
    response = talk.respond()
    talk.audio()
    talk.tell(Drain())
    assert talk.session.state is SessionState.DRAINING
    talk.deliver()
    assert talk.closed is None
    talk.end()
    talk.deliver()
    assert talk.done(response).status == "completed"
    assert talk.closed is not None
    assert talk.closed.code == 1012
    assert talk.session.state is SessionState.CLOSED


def test_a_draining_session_refuses_another_response_and_closes_after_a_cancel() -> None:
    talk = Talk()
    response = talk.respond()
    talk.tell(Drain())
    talk.tell(Drain())
    talk.tell(ResponseCancel())
    talk.deliver()
    assert talk.done(response).status == "cancelled"
    assert talk.closed is not None
    idle = Talk()
    idle.tell(Drain())
    idle.deliver()
    assert idle.closed is not None
    assert idle.closed.code == 1012


def test_a_session_ends_when_its_time_is_over() -> None:
    talk = Talk(Limits(max_session_s=60.0))
    response = talk.respond()
    talk.audio(5.0)
    talk.now += 59.0
    talk.tell(Tick())
    assert talk.closed is None
    talk.now += 1.0
    talk.tell(Tick())
    talk.deliver()
    assert talk.done(response).status == "cancelled"
    assert talk.closed is not None
    assert talk.closed.code == 1001
    assert len(talk.cancelled) == 1


def test_expires_at_is_told_in_unix_time() -> None:
    talk = Talk(Limits(max_session_s=60.0))
    talk.deliver()
    assert talk.events[0].session.expires_at == 50 + 60 + 1000  # type: ignore[union-attr]


def test_a_lost_client_stops_everything_and_is_told_nothing() -> None:
    talk = Talk()
    response = talk.respond()
    talk.audio()
    clause = talk.running
    effects = talk.tell(Disconnected())
    assert not [effect for effect in effects if isinstance(effect, (Send, SendAudio, Close))]
    assert talk.cancelled == [clause]
    assert talk.stopped == [response]
    assert talk.contexts_dropped
    for late in (Tick(), Drain(), BrainSaid(response, "more"), Disconnected(), ResponseCreate()):
        assert talk.tell(late) == []


def test_a_response_over_another_settings_is_one_context_and_is_dropped_with_it() -> None:
    talk = Talk()
    talk.speak(instructions="Once.")
    context = list(talk.clauses.values())[-1].context_id
    talk.speak()
    assert context in talk.contexts_dropped


def test_the_harness_sees_what_the_session_does() -> None:
    talk = Talk()
    talk.speak("A sentence of several words here. " * 3)
    assert any(isinstance(effect, Speak) for effect in talk.effects)
    assert not any(isinstance(effect, CancelClause) for effect in talk.effects)
    assert len(talk.got(ResponseDone)) == 1
    assert talk.got(AudioDelta)
