"""Scope: responses beside the conversation: many at once, each with its own input, words, audio and end."""

from typing import Any

import pytest

from protocol.client_events import ItemDelete, ItemTruncate, ResponseCancel, ResponseCreate
from protocol.objects import (
    InputText,
    ItemReference,
    NewCall,
    NewCallOutput,
    NewMessage,
    OutputAudio,
    ResponseConfig,
)
from protocol.server_events import AudioDelta, ItemAdded, ItemDone, OutputItemAdded, ResponseCreated
from realtime.request import Clip
from realtime.session.messages import BrainDone, BrainSaid
from realtime.session.shared import Limits
from tests.session.harness import RATE, Talk, content, generation, reference, voice


def _user(text: str, item_id: str | None = None) -> NewMessage:
    return NewMessage("user", [InputText(text)], id=item_id)


def test_a_response_out_of_band_has_all_events_but_those_of_the_conversation() -> None:
    talk = Talk()
    talk.item("user", "Hello there.")
    since = len(talk.events)
    response = talk.respond("Hello there.", conversation="none")
    talk.run_engine()
    assert talk.kinds(since) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    assert talk.done(response).conversation_id is None
    assert talk.got(ResponseCreated)[0].response.conversation_id is None
    talk.tell(ResponseCreate())
    assert talk.said == [("user", "Hello there.")], "it left nothing in the conversation"


def test_many_at_once_and_one_in_the_conversation_do_not_mix() -> None:
    talk = Talk()
    texts = {talk.respond(None, conversation="none"): f"This is number {n} of them." for n in range(4)}
    texts[talk.respond(None)] = "And this is the conversation's own."
    for response, text in texts.items():
        talk.tell(BrainSaid(response, text))
    for response in reversed(texts):
        talk.tell(BrainDone(response))
    assert len(talk.at_engine) == 5
    for seconds, response in enumerate(texts, 1):
        talk.audio(seconds / 10, talk.clause_of(response))
    for response in reversed(texts):
        talk.end(clause=talk.clause_of(response))
    talk.deliver()
    for seconds, (response, text) in enumerate(texts.items(), 1):
        done = talk.done(response)
        assert done.status == "completed"
        assert content(done.output[0]) == [OutputAudio(transcript=text)]
        assert "".join(word.delta for word in talk.words_of(response)) == text
        assert talk.audio_of(response) == seconds * RATE // 10
        assert {e.item_id for e in talk.got(AudioDelta) if e.response_id == response} == {talk.message_of(response)}
    assert len(talk.got(ItemAdded)) == len(talk.got(ItemDone)) == 1
    assert not talk.session.responses


def test_metadata_comes_back_with_the_first_and_the_last_event() -> None:
    talk = Talk()
    about = {"client_event_id": "abc", "purpose": "summary"}
    response = talk.respond(conversation="none", metadata=about)
    talk.run_engine()
    assert talk.got(ResponseCreated)[0].response.metadata == about
    assert talk.done(response).metadata == about
    assert talk.speak().metadata is None


def test_given_input_is_all_that_is_answered_and_joins_no_conversation() -> None:
    talk = Talk()
    talk.item("user", "Not this.", item_id="u1")
    talk.item("assistant", reference("Words of the clip."), item_id="ref")
    given = [
        NewMessage("system", [InputText("Be brief.")]),
        ItemReference("ref"),
        _user("But this."),
        NewCall("f", "{}", call_id="c1"),
        NewCallOutput("c1", "42"),
    ]
    talk.respond(conversation="none", input=given)
    assert talk.said == [
        ("system", "Be brief."),
        ("assistant", "Words of the clip."),
        ("user", "But this."),
        ("call", "f({})"),
        ("call_output", "42"),
    ]
    voicing = talk.clauses[talk.running].voicing
    assert voicing.system == "Be brief."
    assert voicing.clips == [Clip(bytes(RATE))]
    talk.run_engine()
    assert [event.item.id for event in talk.got(ItemAdded)] == ["u1", "ref"]
    talk.item("user", "The same id can be used.", item_id="u2")
    talk.respond(conversation="none", input=[_user("once", "u2")])


def test_empty_input_is_no_input_at_all() -> None:
    talk = Talk()
    talk.item("user", "Not this.")
    talk.respond(None, conversation="none", input=[])
    assert talk.said == []


def test_input_of_a_response_in_the_conversation_replaces_what_it_answers_and_not_the_history() -> None:
    talk = Talk()
    talk.item("user", "Old.")
    response = talk.speak(input=[_user("New.")])
    assert talk.said == [("user", "New.")]
    assert response.conversation_id is not None
    talk.tell(ResponseCreate())
    assert talk.said == [("user", "Old."), ("assistant", "Hello there.")]


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ([ItemReference("nobody")], "item_retrieve_invalid_item_id", "response.input[0].id"),
        ([_user("fine"), _user(" ")], "invalid_value", "response.input[1].content[0].text"),
        ([_user("a", "x"), _user("b", "x")], "item_create_duplicate_item_id", "response.input[1].id"),
        ([_user("x" * 101)], "string_above_max_length", "response.input[0]"),
    ],
)
def test_wrong_input_is_refused_by_the_name_of_its_field_and_starts_nothing(given: Any, code: str, param: str) -> None:
    talk = Talk(Limits(max_item_chars=100))
    since = len(talk.events)
    talk.tell(ResponseCreate(event_id="e1", response=ResponseConfig(conversation="none", input=given)))
    talk.deliver()
    assert talk.kinds(since) == ["error"]
    assert (talk.error().code, talk.error().param, talk.error().event_id) == (code, param, "e1")
    assert not talk.session.responses
    assert not talk.asked


def test_so_many_out_of_band_and_no_more() -> None:
    talk = Talk(Limits(max_out_of_band=2))
    first = talk.respond(None, conversation="none")
    talk.respond(None, conversation="none")
    talk.tell(ResponseCreate(event_id="third", response=ResponseConfig(conversation="none")))
    talk.deliver()
    assert (talk.error().code, talk.error().event_id) == ("too_many_responses", "third")
    assert talk.respond(None), "the conversation's own has a place of its own"
    talk.tell(ResponseCancel(response_id=first))
    talk.deliver()
    talk.respond(None, conversation="none")


def test_each_is_cancelled_by_its_id_and_the_others_go_on() -> None:
    talk = Talk()
    own = talk.respond()
    beside = [talk.respond(conversation="none") for _ in range(2)]
    clauses = dict(zip([own, *beside], talk.at_engine, strict=True))
    for clause in clauses.values():
        talk.audio(0.5, clause)
    talk.tell(ResponseCancel(response_id=beside[0]))
    talk.deliver()
    assert talk.done(beside[0]).status == "cancelled"
    assert talk.cancelled == [clauses[beside[0]]]
    assert talk.audio_of(beside[0]) == 0
    talk.run_engine(0.5)
    for response in (own, beside[1]):
        assert talk.done(response).status == "completed"
        assert talk.audio_of(response) == RATE


def test_a_cancel_without_an_id_means_the_conversations_response() -> None:
    talk = Talk()
    beside = talk.respond(conversation="none")
    talk.tell(ResponseCancel(event_id="e1"))
    talk.deliver()
    assert (talk.error().code, talk.error().event_id) == ("response_cancel_not_active", "e1")
    own = talk.respond()
    talk.tell(ResponseCancel())
    talk.deliver()
    assert talk.done(own).status == "cancelled"
    talk.run_engine()
    assert talk.done(beside).status == "completed"


def test_one_that_fails_leaves_the_others_alone() -> None:
    talk = Talk()
    first, second = (talk.respond(conversation="none") for _ in range(2))
    talk.end("failed", talk.at_engine[0], error="Broken.")
    talk.run_engine()
    assert talk.done(first).status == "failed"
    assert talk.done(second).status == "completed"


def test_its_message_cannot_be_changed_by_the_clients_item_events() -> None:
    talk = Talk()
    response = talk.respond(conversation="none")
    talk.audio()
    talk.deliver()
    item = talk.message_of(response)
    talk.tell(ItemTruncate(item_id=item, audio_end_ms=0))
    talk.deliver()
    assert talk.error().code == "item_truncate_invalid_item_id"
    talk.tell(ItemDelete(item_id=item))
    talk.deliver()
    assert talk.error().code == "item_delete_in_progress"
    talk.end()
    talk.deliver()
    assert talk.done(response).status == "completed"


def test_each_speaks_in_a_context_of_its_own_that_is_dropped_with_it() -> None:
    talk = Talk()
    talk.speak()
    talk.speak(conversation="none")
    talk.speak(conversation="none", instructions="Rain.", audio=voice("amy"))
    talk.speak()
    own, first, second, again = (clause.context_id for clause in talk.clauses.values())
    assert len({own, first, second}) == 3
    assert own == again, "what the conversation spoke is still there"
    assert talk.contexts_dropped == [first, second]


def test_its_settings_are_its_own() -> None:
    talk = Talk()
    response = talk.respond(conversation="none", audio=voice("amy"), voiced=generation(seed=5, max_lead_s=0.5))
    clause = talk.clauses[talk.running]
    assert (clause.seed, clause.max_lead_s) == (5, 0.5)
    talk.run_engine()
    assert talk.done(response).audio.output.voice == "amy"
    talk.speak()
    assert list(talk.clauses.values())[-1].max_lead_s is None


def test_a_message_is_announced_with_its_first_words_and_not_before() -> None:
    talk = Talk()
    response = talk.respond(None, conversation="none")
    assert not talk.got(OutputItemAdded)
    talk.tell(BrainSaid(response, "Now"))
    talk.deliver()
    assert talk.got(OutputItemAdded)[0].item.content == []
