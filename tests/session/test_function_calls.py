"""Scope: function calls carried through: from the brain to the client as items, and back into the dialogue."""

import json

from protocol.client_events import ItemCreate, ItemDelete, ItemRetrieve, ResponseCancel, ResponseCreate
from protocol.encodings import JSON
from protocol.objects import CallItem, CallOutputItem, FunctionTool, NamedFunction, NewCall, NewCallOutput, OutputAudio
from protocol.server_events import ItemDone, ItemRetrieved, OutputItemDone
from realtime.session.messages import BrainCalled, BrainDone, BrainSaid
from tests.session.harness import Talk, content, kind_of

TOOL = FunctionTool("now", "The time.", {"type": "object", "properties": {"zone": {"type": "string"}}})


def _called(talk: Talk, response: str, arguments: str = '{"zone": "UTC"}') -> None:
    talk.tell(BrainCalled(response, "now", arguments))
    talk.deliver()


def test_a_call_is_an_item_whose_arguments_follow_in_the_order_clients_act_on() -> None:
    talk = Talk()
    talk.item("user", "What time is it?", item_id="u1")
    since = len(talk.events)
    response = talk.respond(None)
    _called(talk, response)
    talk.tell(BrainDone(response))
    talk.deliver()
    assert talk.kinds(since) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    added, joined, delta, whole, done, final = (
        json.loads(JSON.encode(event)) for event in talk.events[since + 2 : since + 8]
    )
    assert (added["item"]["arguments"], added["item"]["status"]) == ("", "in_progress")
    assert joined["previous_item_id"] == final["previous_item_id"] == "u1"
    assert delta["delta"] == whole["arguments"] == done["item"]["arguments"] == '{"zone": "UTC"}'
    assert (whole["name"], done["item"]["name"], done["item"]["status"]) == ("now", "now", "completed")
    assert {event["call_id"] for event in (delta, whole)} == {added["item"]["call_id"], done["item"]["call_id"]}
    assert added["item"]["call_id"].startswith("call_")
    assert {event["output_index"] for event in (added, delta, whole, done)} == {0}
    assert talk.done(response).status == "completed"
    assert talk.done(response).output == [talk.got(OutputItemDone)[0].item]


def test_what_the_function_gave_is_part_of_the_next_dialogue() -> None:
    talk = Talk()
    talk.item("user", "What time is it?")
    response = talk.respond(None)
    _called(talk, response)
    talk.tell(BrainDone(response))
    talk.deliver()
    call = talk.got(OutputItemDone)[0].item
    talk.tell(ItemCreate(item=NewCallOutput(call.call_id, "noon")))
    assert [kind_of(event) for event in talk.deliver()] == ["conversation.item.added", "conversation.item.done"]
    shown = talk.got(ItemDone)[-1].item
    assert isinstance(shown, CallOutputItem)
    assert (shown.call_id, shown.output, shown.status) == (call.call_id, "noon", "completed")
    talk.tell(ResponseCreate())
    assert talk.said == [
        ("user", "What time is it?"),
        ("call", 'now({"zone": "UTC"})'),
        ("call_output", "noon"),
    ]


def test_words_and_calls_share_one_response_in_the_order_they_came() -> None:
    talk = Talk()
    response = talk.respond(None)
    _called(talk, response, "{}")
    talk.tell(BrainSaid(response, "Let me look that up for you. "))
    _called(talk, response, '{"again": true}')
    talk.tell(BrainSaid(response, "One moment."))
    talk.tell(BrainDone(response))
    talk.run_engine()
    output = talk.done(response).output
    assert [type(item).__name__ for item in output] == ["CallItem", "MessageItem", "CallItem"]
    assert content(output[1]) == [OutputAudio(transcript="Let me look that up for you. One moment.")]
    places = {event.item.id: event.output_index for event in talk.got(OutputItemDone)}
    assert [places[item.id] for item in output] == [0, 1, 2]


def test_a_call_out_of_band_joins_no_conversation() -> None:
    talk = Talk()
    response = talk.respond(None, conversation="none")
    since = len(talk.events)
    _called(talk, response)
    talk.tell(BrainDone(response))
    talk.deliver()
    assert not [kind for kind in talk.kinds(since) if kind.startswith("conversation.")]
    talk.tell(ResponseCreate())
    assert talk.said == []


def test_a_call_after_a_cancel_is_not_made() -> None:
    talk = Talk()
    response = talk.respond(None)
    talk.tell(ResponseCancel())
    talk.deliver()
    since = len(talk.events)
    _called(talk, response)
    assert len(talk.events) == since


def test_a_history_with_calls_can_be_replayed_looked_up_and_deleted() -> None:
    talk = Talk()
    talk.tell(ItemCreate(item=NewCall("now", "{}", call_id="c1", id="i1"), previous_item_id="root"))
    talk.tell(ItemCreate(item=NewCallOutput("c1", "noon", id="i2")))
    talk.tell(ItemRetrieve(item_id="i1"))
    talk.deliver()
    assert talk.got(ItemRetrieved)[0].item == CallItem("i1", "now", "{}", "c1", "completed")
    talk.tell(ItemDelete(item_id="i1"))
    assert [kind_of(event) for event in talk.deliver()] == ["conversation.item.deleted"]
    assert not talk.contexts_dropped, "calls are not part of what comes before the speech"


def test_tools_and_the_choice_among_them_reach_the_brain_as_plain_json() -> None:
    talk = Talk()
    talk.update(tools=[TOOL], tool_choice="required", instructions="Rain.")
    talk.respond()
    dialogue = talk.asked[0].dialogue
    assert dialogue.tools == (
        {
            "type": "function",
            "name": "now",
            "description": "The time.",
            "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
        },
    )
    assert (dialogue.tool_choice, dialogue.instructions) == ("required", "Rain.")
    assert json.loads(json.dumps(dialogue.tools[0])) == dialogue.tools[0]
    talk.run_engine()
    talk.respond(tools=[], tool_choice=NamedFunction("now"))
    assert (talk.asked[1].dialogue.tools, talk.asked[1].dialogue.tool_choice) == ((), "now")
