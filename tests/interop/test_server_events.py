"""Scope: every server event of every run against the clients' own models, and the traps in which events are lost."""

import asyncio
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import pytest_asyncio

from tests.interop.suite import REALTIME, Suite

pytestmark = pytest.mark.asyncio(loop_scope="session")

Json = dict[str, Any]

SHOWN = {
    "session.created",
    "session.updated",
    "conversation.created",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "conversation.item.deleted",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.done",
    "rate_limits.updated",
    "error",
}
"""What the runs must have shown, so that the checks below check something."""

OURS = {
    "session.created.session.voiced",
    "session.updated.session.voiced",
    "response.output_audio_transcript.delta.start_time",
    "response.output_audio_transcript.delta.end_time",
}
"""What voiced adds."""

NOT_IN_THE_MODELS = {
    f"session.{kind}.session.{field}" for kind in ("created", "updated") for field in ("id", "object", "expires_at")
}
"""What the hosted API sends too, but openai-python's model of these events (that of the request) leaves out."""


@pytest_asyncio.fixture(loop_scope="session")
async def said(suite: Suite) -> list[Json]:
    """All server events of all Realtime sockets of all runs."""
    for name in [*REALTIME, "livekit_reconnects.py", "every_event.py"]:
        await suite.driver(name)
    return [event for one in suite.connections("/v1/realtime") for event in one.server_events()]


async def checked(suite: Suite, checker: str, events: list[Json], name: str, sessions: str = "realtime") -> Json:
    path = suite.folder / f"{name}.jsonl"
    await asyncio.to_thread(path.write_text, "".join(json.dumps(event) + "\n" for event in events))
    return (await suite.program(checker, str(path), sessions)).facts


async def test_every_server_event_validates_against_openai_pythons_model_of_its_type(
    suite: Suite, said: list[Json]
) -> None:
    facts = await checked(suite, "check_events.py", said, "said")
    assert set(facts["kinds"]) >= SHOWN
    assert facts["problems"] == []
    assert set(facts["unknown"]) <= OURS | NOT_IN_THE_MODELS


async def test_every_translation_event_validates_against_openai_pythons_model_of_its_type(suite: Suite) -> None:
    run = await suite.driver("openai_translation.py")
    said = run.recorder.server_events("/v1/realtime/translations")
    facts = await checked(suite, "check_events.py", said, "translated", "translation")
    assert set(facts["kinds"]) == {
        "session.created",
        "session.updated",
        "session.input_transcript.delta",
        "session.output_transcript.delta",
        "session.output_audio.delta",
        "session.closed",
    }
    assert facts["problems"] == []
    assert {name.rpartition(".")[2] for name in facts["unknown"]} <= {"voiced"}


async def test_no_server_event_ends_a_pipecat_session_by_not_parsing(suite: Suite, said: list[Json]) -> None:
    facts = await checked(suite, "check_events.py", said, "said")
    assert facts["pipecat"] == []


async def test_the_agents_sdk_ignores_no_server_event_and_throws_on_none(suite: Suite, said: list[Json]) -> None:
    facts = await checked(suite, "check_events.mjs", said, "said")
    assert [said[at] for at in facts["ignored"]] == []
    assert [said[at] for at in facts["thrown"]] == []


async def test_every_event_has_an_id_of_its_own_and_none_has_a_beta_name(said: list[Json]) -> None:
    assert len({event["event_id"] for event in said}) == len(said)
    beta = ("response.audio.", "response.audio_transcript.", "response.text.", "conversation.item.created")
    assert [event["type"] for event in said if event["type"].startswith(beta)] == []


@dataclass(frozen=True)
class Trap:
    """A way to write an event in which the Agents SDK ignores it or throws; `concerns` are the events that could fall
    in, `spring` makes one do so."""

    name: str
    loses: Literal["ignored", "thrown"]
    concerns: Callable[[Json], bool]
    spring: Callable[[Json], None]


def _of(*kinds: str) -> Callable[[Json], bool]:
    return lambda event: event["type"] in kinds


def _item(role: str, content: str) -> Callable[[Json], bool]:
    """Items of a role whose first content is of a type."""

    def concerns(event: Json) -> bool:
        item = event.get("item", {})
        kinds = [part["type"] for part in item.get("content", [])][:1]
        return event["type"].startswith("conversation.item.") and item.get("role") == role and kinds == [content]

    return concerns


def _set(*path: str | int, to: Any) -> Callable[[Json], None]:
    def spring(event: Json) -> None:
        at: Any = event
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return spring


def _drop(*path: str | int) -> Callable[[Json], None]:
    def spring(event: Json) -> None:
        at: Any = event
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return spring


def _spoken_part(event: Json) -> bool:
    return event["type"].startswith("response.content_part.") and event["part"]["type"] == "audio"


_AUDIO_DELTA = _of("response.output_audio.delta")
_MESSAGE = _item("assistant", "output_audio")

TRAPS = [
    Trap("a part named output_audio", "ignored", _spoken_part, _set("part", "type", to="output_audio")),
    Trap("a part with a null transcript", "ignored", _spoken_part, _set("part", "transcript", to=None)),
    Trap("a delta without event_id", "ignored", _AUDIO_DELTA, _drop("event_id")),
    Trap("a delta without output_index", "ignored", _AUDIO_DELTA, _drop("output_index")),
    Trap("a beta name", "ignored", _AUDIO_DELTA, _set("type", to="response.audio.delta")),
    Trap(
        "a response's voice as an object",
        "ignored",
        _of("response.created", "response.done"),
        lambda event: event["response"]["audio"]["output"].update(voice={"id": "ada"}),
    ),
    Trap(
        "usage without a count of input tokens",
        "ignored",
        lambda event: event["type"] == "response.done" and event["response"]["usage"] is not None,
        _set("response", "usage", "input_tokens", to=None),
    ),
    Trap("an item with a null call_id", "ignored", _MESSAGE, _set("item", "call_id", to=None)),
    Trap("an item with a null name", "ignored", _MESSAGE, _set("item", "name", to=None)),
    Trap(
        "content of a type the SDK does not know",
        "ignored",
        _item("user", "input_text"),
        _set("item", "content", 0, "type", to="input_image"),
    ),
    Trap(
        "a rate limit of another name",
        "ignored",
        _of("rate_limits.updated"),
        _set("rate_limits", 0, "name", to="seconds"),
    ),
    Trap(
        "input_audio without a transcript key",
        "thrown",
        _item("user", "input_audio"),
        _drop("item", "content", 0, "transcript"),
    ),
    Trap("output_text without text", "thrown", _item("assistant", "output_text"), _drop("item", "content", 0, "text")),
    Trap("a message without content", "thrown", _MESSAGE, _drop("item", "content")),
    Trap("a message without id", "thrown", _MESSAGE, _drop("item", "id")),
]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name.replace(" ", "-"))
async def test_no_event_falls_into_the_trap_of(suite: Suite, said: list[Json], trap: Trap) -> None:
    concerned = [event for event in said if trap.concerns(event)]
    assert concerned, "no run has shown an event that could fall in"
    sprung = copy.deepcopy(concerned[-1])
    trap.spring(sprung)
    facts = await checked(suite, "check_events.mjs", [*concerned, sprung], trap.name.replace(" ", "-"))
    assert facts[trap.loses] == [len(concerned)], "the altered event alone must be lost"


async def test_refusals_carry_the_codes_that_clients_act_on(suite: Suite, said: list[Json]) -> None:
    run = await suite.driver("every_event.py")
    assert run.facts["codes"] == [
        "conversation_already_has_active_response",
        "response_cancel_not_active",
        "input_audio_buffer_commit_empty",
        "item_retrieve_invalid_item_id",
        "item_delete_invalid_item_id",
        "item_truncate_invalid_item_id",
        "invalid_value",
        "item_create_duplicate_item_id",
        "unsupported_event",
        "unknown_event",
    ]
    named = {error["code"]: error["event_id"] for error in run.errors if error["event_id"]}
    assert named == {
        "conversation_already_has_active_response": "evt_busy",
        "item_retrieve_invalid_item_id": "evt_asked",
    }
    (nothing,) = [error for error in run.errors if error["code"] == "response_cancel_not_active"]
    assert nothing["message"].startswith("Cancellation failed")


async def test_a_response_out_of_band_echoes_its_metadata_and_joins_no_conversation(suite: Suite) -> None:
    run = await suite.driver("every_event.py")
    aside = run.facts["aside"]
    assert (aside["status"], aside["conversation_id"], aside["metadata"]) == ("completed", None, {"purpose": "aside"})
    added = [event["item"] for event in run.recorder.server_events() if event["type"] == "conversation.item.added"]
    assert {item["id"] for item in aside["output"]}.isdisjoint(item["id"] for item in added)


async def test_the_session_shown_says_whether_the_server_cancels_by_itself(said: list[Json]) -> None:
    """The Agents SDK reads it to decide whether it must send response.cancel."""
    sessions = [event["session"] for event in said if event["type"] == "session.updated"]
    turns = [session["audio"]["input"]["turn_detection"] for session in sessions]
    assert any(turns)
    assert all(isinstance(one["interrupt_response"], bool) for one in turns if one is not None)
