"""Scope: a conversation's items at the client's hands, and their bounds."""

import pytest

from protocol.client_events import (
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    ResponseCreate,
)
from protocol.objects import InputAudio, OutputAudio
from protocol.server_events import (
    ItemAdded,
    ItemDeleted,
    ItemRetrieved,
)
from realtime.session.shared import Limits
from tests.session.harness import RATE, Talk, kind_of, reference


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
    assert talk.said[:4] == [("user", "a"), ("user", "b"), ("user", "c"), ("user", "d")]


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
        ("assistant", [OutputAudio(audio=bytes(100))], "item.content[0].transcript"),
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
    response = talk.respond()
    talk.deliver()
    item = talk.message_of(response)
    talk.tell(ItemDelete(item_id=item))
    talk.deliver()
    assert talk.error().code == "item_delete_in_progress"
    talk.audio()
    talk.end()
    talk.deliver()
    talk.tell(ItemDelete(item_id=item))
    talk.deliver()
    assert isinstance(talk.events[-1], ItemDeleted)
