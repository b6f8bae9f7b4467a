"""Scope: what one session does about each event: settings, items, responses, interruption, failure, the end."""

import msgspec
import pytest

from protocol.client_events import (
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    ResponseCancel,
    ResponseCreate,
)
from protocol.encodings import JSON, BadMessage
from protocol.objects import ErrorBody, InputAudio, OutputAudio, ResponseConfig, VoiceId
from protocol.server_events import (
    AudioDelta,
    ItemAdded,
    ItemDeleted,
    ItemRetrieved,
    ItemTruncated,
    ResponseDone,
    SessionUpdated,
    TranscriptDelta,
)
from realtime.session.messages import (
    AudioSent,
    BrainDone,
    BrainFailed,
    BrainSaid,
    CancelClause,
    Close,
    Disconnected,
    Drain,
    Send,
    SendAudio,
    StartClause,
    Tick,
)
from realtime.session.session import Limits
from realtime.session.states import SessionState
from realtime.speech import ClipPart, Message, TextPart, VoicePart
from tests.session.harness import RATE, Talk, generation, kind_of, reference, voice

ORDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
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
    talk.audio(0.5)
    talk.audio(0.5)
    talk.end(prompt_positions=30, cached_positions=10, frames=25)
    talk.deliver()
    assert talk.kinds(since) == ORDER
    done = talk.done(response)
    assert (done.status, done.status_details) == ("completed", None)
    assert done.output[0].content == [OutputAudio(transcript="Hello there.")]
    assert done.usage is not None
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.total_tokens) == (30, 25, 55)
    assert done.usage.input_token_details.cached_tokens == 10


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
    assert [delta.start_time for delta in deltas] == [1.5 * index for index in range(len(deltas))]
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
    assert talk.done(response).output[0].content == [
        OutputAudio(transcript="One sentence is complete now. Another one follows later.")
    ]


def test_text_without_a_word_is_shown_and_not_spoken() -> None:
    talk = Talk()
    response = talk.respond("… !!! ")
    talk.deliver()
    assert not talk.clauses
    assert talk.done(response).output[0].content == [OutputAudio(transcript="… !!! ")]


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


# --- settings ---


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


# --- what reaches the model ---


def _prompt(talk: Talk, text: str = "Hello.", **config: object) -> list[Message]:
    talk.speak(text, **config)
    return list(talk.clauses.values())[-1].messages


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
        Message("assistant", [VoicePart("amy")]),
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
    clips = [part for part in scene.parts if isinstance(part, VoicePart)]
    assert clips == [VoicePart("amy"), VoicePart("bob")]
    at = scene.parts.index(VoicePart("amy"))
    before = scene.parts[at - 1]
    assert isinstance(before, TextPart)
    assert "SPEAKER0" in before.text


def test_a_reference_item_of_the_assistant_is_a_turn_before_the_text() -> None:
    talk = Talk()
    talk.item("assistant", reference())
    assert _prompt(talk)[2:] == [
        Message("user", [TextPart("Words of the clip.")]),
        Message("assistant", [ClipPart(bytes(RATE))]),
    ]


def test_a_users_clip_can_be_a_voice() -> None:
    talk = Talk()
    talk.item("user", InputAudio(audio=bytes(RATE), transcript="My own words."), item_id="clip1")
    assert len(_prompt(talk)) == 2
    talk.update(audio=voice("item:clip1"))
    assert _prompt(talk)[2:] == [
        Message("user", [TextPart("My own words.")]),
        Message("assistant", [ClipPart(bytes(RATE))]),
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
    assert len(first.messages) == 4
    assert len(second.messages) == 2
    assert first.context_id != second.context_id


# --- items ---


def test_items_keep_the_clients_ids_and_places() -> None:
    talk = Talk()
    assert [kind_of(event) for event in talk.item("user", "b", item_id="b")] == [
        "conversation.item.added",
        "conversation.item.done",
    ]
    talk.item("user", "d", item_id="d")
    talk.item("user", "a", item_id="a", previous="root")
    talk.item("user", "c", item_id="c", previous="b")
    places = {event.item.id: event.previous_item_id for event in talk.got(ItemAdded)}
    assert places == {"b": None, "d": "b", "a": None, "c": "b"}
    talk.tell(ResponseCreate())
    assert talk.asked[-1].said[:4] == [("user", "a"), ("user", "b"), ("user", "c"), ("user", "d")]


def test_an_id_is_used_once() -> None:
    talk = Talk()
    talk.item("user", "one", item_id="x")
    talk.item("user", "two", item_id="x")
    assert (talk.error().code, talk.error().param) == ("item_create_duplicate_item_id", "item.id")


def test_an_unknown_previous_item_is_refused_by_the_name_of_its_field() -> None:
    talk = Talk()
    talk.item("user", "one", previous="nowhere")
    assert (talk.error().code, talk.error().param) == ("item_create_invalid_previous_item_id", "previous_item_id")


@pytest.mark.parametrize(
    ("role", "content", "param"),
    [
        ("user", [" \n "], "item.content[0].text"),
        ("user", ["fine", ""], "item.content[1].text"),
        ("user", [OutputAudio(transcript="no")], "item.content[0].type"),
        ("assistant", [InputAudio(transcript="no")], "item.content[0].type"),
        ("system", [InputAudio(transcript="no")], "item.content[0].type"),
        ("system", [reference()], "item.content[0].type"),
        ("user", [InputAudio()], "item.content[0]"),
        ("user", [InputAudio(transcript="odd", audio=b"abc")], "item.content[0].audio"),
        ("user", [InputAudio(transcript="none", audio=b"")], "item.content[0].audio"),
        ("user", [InputAudio(transcript="file", audio=b"RIFF" + bytes(100))], "item.content[0].audio"),
        ("user", [InputAudio(transcript="long", audio=bytes(2 * RATE * 31))], "item.content[0].audio"),
        ("user", [InputAudio(audio=bytes(100))], "item.content[0].transcript"),
        ("assistant", [reference(), reference()], "item.content[1].audio"),
    ],
)
def test_a_wrong_item_is_refused_by_the_name_of_its_field(role: str, content: list[object], param: str) -> None:
    talk = Talk()
    events = talk.item(role, *content)
    assert [kind_of(event) for event in events] == ["error"]
    assert talk.error().param == param
    assert talk.speak().status == "completed"


def test_a_conversation_holds_so_many_items_and_no_more() -> None:
    talk = Talk()
    for index in range(512):
        talk.item("user", f"number {index}", item_id=f"n{index}")
    assert len(talk.got(ItemAdded)) == 512
    talk.item("user", "one more")
    assert talk.error().code == "too_many_items"
    talk.tell(ResponseCreate())
    talk.deliver()
    assert talk.error().code == "too_many_items"
    talk.tell(ItemDelete(item_id="n3"))
    assert talk.speak().status == "completed"


def test_a_conversation_holds_so_much_audio_and_text_and_no_more() -> None:
    talk = Talk(Limits(max_clips_s=1.0, max_item_chars=100))
    talk.item("assistant", reference(seconds=0.6))
    talk.item("assistant", reference(seconds=0.6))
    assert talk.error().code == "too_much_audio"
    talk.item("user", "x" * 101)
    assert talk.error().code == "string_above_max_length"


def test_audio_is_remembered_and_not_repeated() -> None:
    talk = Talk()
    talk.item("assistant", reference(), item_id="ref")
    talk.tell(ItemRetrieve(item_id="ref"))
    talk.deliver()
    assert talk.got(ItemRetrieved)[-1].item.content == [OutputAudio(transcript="Words of the clip.")]


def test_items_can_be_looked_up_and_taken_out() -> None:
    talk = Talk()
    talk.item("user", "one", item_id="x")
    talk.tell(ItemDelete(item_id="x"))
    talk.deliver()
    assert talk.got(ItemDeleted)[-1].item_id == "x"
    for event, code in (
        (ItemRetrieve(item_id="x"), "item_retrieve_invalid_item_id"),
        (ItemDelete(item_id="x"), "item_delete_invalid_item_id"),
        (ItemTruncate(item_id="x", audio_end_ms=0), "item_truncate_invalid_item_id"),
    ):
        talk.tell(event)
        talk.deliver()
        assert (talk.error().code, talk.error().param) == (code, "item_id")


def test_what_is_being_spoken_cannot_be_deleted_and_can_be_afterwards() -> None:
    talk = Talk()
    talk.respond()
    item = talk.got(ItemAdded)[-1].item.id
    talk.tell(ItemDelete(item_id=item))
    talk.deliver()
    assert talk.error().code == "item_delete_in_progress"
    talk.audio()
    talk.end()
    talk.deliver()
    talk.tell(ItemDelete(item_id=item))
    talk.deliver()
    assert isinstance(talk.events[-1], ItemDeleted)


# --- interruption ---


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
    part = talk.done(response).output[0].content[0]
    assert isinstance(part, OutputAudio)
    assert part.transcript == "One two three four"
    assert talk.asked  # and the next turn is told the same
    talk.tell(ResponseCreate())
    assert talk.asked[-1].said[-1] == ("assistant", "One two three four")


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
    assert _words(talk, item) == "One two"


def test_only_speech_can_be_truncated() -> None:
    talk = Talk()
    talk.item("user", "words", item_id="x")
    talk.tell(ItemTruncate(item_id="x", audio_end_ms=0))
    talk.deliver()
    assert talk.error().param == "item_id"


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
    assert any(isinstance(effect, StartClause) for effect in talk.effects)
    assert not any(isinstance(effect, CancelClause) for effect in talk.effects)
    assert len(talk.got(ResponseDone)) == 1
    assert talk.got(AudioDelta)
