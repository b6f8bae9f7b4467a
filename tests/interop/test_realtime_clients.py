"""Scope: unmodified Realtime clients against the server: all is heard, an interruption cuts what is remembered."""

from typing import Any

import pytest

from tests.interop.suite import ENGLISH, FIRST, GERMAN, KEY, LAST, LONG, REALTIME, Run, Suite

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROVOKED = {
    "agents_js.mjs": ["invalid_value"],
    "pipecat_realtime_service.py": ["response_cancel_not_active", "item_retrieve_invalid_item_id"],
}
"""Codes of the errors that drivers ask for, in order."""

PASSED_OVER = {"livekit_realtime_model.py": ["response_cancel_not_active"]}
"""LiveKit cancels twice and passes over the answer to the second, if the first has been carried out by then."""


def events(run: Run, kind: str, item_id: str = "") -> list[dict[str, Any]]:
    """Server events of a kind, about one item if it is given."""
    found = [event for event in run.recorder.server_events() if event["type"] == kind]
    return [event for event in found if item_id in (event.get("item_id"), event.get("item", {}).get("id"), "")]


def words_of(item: dict[str, Any]) -> str:
    return "".join(part.get("transcript") or "" for part in item["content"])


@pytest.mark.parametrize("name", REALTIME)
async def test_a_client_hears_the_whole_utterance_sample_for_sample(resting: Suite, name: str) -> None:
    run = await resting.driver(name)
    for which, text in (("first", FIRST), ("last", LAST)):
        made, heard = run.made(text), run.facts[which]
        assert made.complete
        assert heard["samples"] == made.samples
        assert heard["sha256"] == made.digest(made.samples)
        assert heard["transcript"].split() == text.split()


@pytest.mark.parametrize("name", REALTIME)
async def test_an_interruption_stops_the_speech_and_what_came_before_it_is_what_was_made(
    resting: Suite, name: str
) -> None:
    run = await resting.driver(name)
    cut, made = run.facts["cut"], run.made(LONG)
    assert 0 < cut["samples"] <= made.samples
    assert cut["sha256"] == made.digest(cut["samples"])
    assert not made.complete
    (done,) = [
        event["response"]
        for event in events(run, "response.done")
        if cut["item_id"] in [item["id"] for item in event["response"]["output"]]
    ]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")


@pytest.mark.parametrize("name", REALTIME)
async def test_history_is_cut_to_what_the_client_played(resting: Suite, name: str) -> None:
    run = await resting.driver(name)
    item_id, history = run.facts["cut"]["item_id"], run.facts["cut"]["history"]
    asked = [
        event
        for event in run.recorder.client_events()
        if event["type"] == "conversation.item.truncate" and event["item_id"] == item_id
    ]
    (truncated,) = events(run, "conversation.item.truncated", item_id)
    assert [event["audio_end_ms"] for event in asked] == [truncated["audio_end_ms"]]
    assert truncated["audio_end_ms"] * 24 <= run.facts["cut"]["samples"]
    spoken = history.split()
    assert 0 < len(spoken) < len(LONG.split())
    assert LONG.split()[: len(spoken)] == spoken
    (retrieved,) = events(run, "conversation.item.retrieved", item_id)
    assert words_of(retrieved["item"]) == history
    assert retrieved["item"]["status"] == "incomplete"


@pytest.mark.parametrize("name", REALTIME)
async def test_no_event_after_the_truncation_brings_the_unheard_words_back(resting: Suite, name: str) -> None:
    run = await resting.driver(name)
    item_id, history = run.facts["cut"]["item_id"], run.facts["cut"]["history"]
    said = run.recorder.server_events()
    at = said.index(events(run, "conversation.item.truncated", item_id)[0])
    shown = [event["item"] for event in said[at:] if event.get("item", {}).get("id") == item_id]
    shown += [item for event in said[at:] if event["type"] == "response.done" for item in event["response"]["output"]]
    assert {words_of(item) for item in shown if item["id"] == item_id} == {history}


@pytest.mark.parametrize("name", REALTIME)
async def test_a_client_gets_no_error_it_did_not_ask_for(resting: Suite, name: str) -> None:
    run = await resting.driver(name)
    codes = [error["code"] for error in run.errors]
    assert codes == PROVOKED.get(name, []) or codes == PASSED_OVER.get(name)
    assert run.facts.get("errors", []) == []


async def test_the_agents_sdk_keeps_a_history_of_what_was_said_and_heard(resting: Suite) -> None:
    run = await resting.driver("agents_js.mjs")
    history = run.facts["cut"]["history"]
    assert run.facts["cut"]["retrieved"] == history
    assert run.facts["transcripts"] == [
        {"role": role, "text": text}
        for text, spoken in ((FIRST, FIRST), (LONG, history), (LAST, LAST))
        for role, text in (("user", text), ("assistant", spoken))
    ]


async def test_a_refused_response_create_names_its_event_so_that_the_agents_sdk_goes_on(resting: Suite) -> None:
    run = await resting.driver("agents_js.mjs")
    creates = [event["event_id"] for event in run.recorder.client_events() if event["type"] == "response.create"]
    assert run.facts["refusal"]["event_id"] in creates
    assert run.facts["last"]["samples"] == run.made(LAST).samples


async def test_pipecat_survives_an_interruption_of_nothing_and_an_item_that_is_not_there(resting: Suite) -> None:
    run = await resting.driver("pipecat_realtime_service.py")
    late = run.facts["late"].split()
    assert FIRST.split()[: len(late)] == late
    assert len(late) < len(FIRST.split())
    assert "item_of_nobody" in run.facts["missing"]
    (error,) = [error for error in run.errors if error["code"] == "item_retrieve_invalid_item_id"]
    assert error["event_id"] == "rci_item_of_nobody"


async def test_livekit_is_told_when_each_piece_of_the_transcript_is_said(resting: Suite) -> None:
    run = await resting.driver("livekit_realtime_model.py")
    timed = run.facts["first"]["timed"]
    assert len(timed) == run.facts["first"]["pieces"] > 0
    assert timed == sorted(timed)
    assert timed[-1] * 24000 < run.facts["first"]["samples"]


async def test_livekit_replays_its_history_into_a_new_socket_under_the_old_ids(resting: Suite) -> None:
    run = await resting.driver("livekit_reconnects.py")
    first, second, *_ = run.recorder.on("/v1/realtime")
    old = [event["item"]["id"] for event in first.server_events() if event["type"] == "conversation.item.done"]
    replayed = [event for event in second.client_events() if event["type"] == "conversation.item.create"][: len(old)]
    assert [event["item"]["id"] for event in replayed] == old
    assert [event["previous_item_id"] for event in replayed] == ["root", *old[:-1]]
    added = [event["item"]["id"] for event in second.server_events() if event["type"] == "conversation.item.added"]
    assert added[: len(old)] == old
    assert run.errors == run.facts["errors"] == []
    assert run.facts["last"]["samples"] == run.made(LAST).samples


async def test_a_client_secret_of_openai_python_opens_a_session_of_the_agents_sdk_and_nothing_else(
    resting: Suite,
) -> None:
    minted = (await resting.driver("client_secret.py")).facts
    assert minted["value"].startswith("ek_")
    assert 30 < minted["lasts_s"] <= 60
    assert (minted["kind"], minted["voice"]) == ("realtime", "otto")
    assert minted["refused"] == 403
    run = await resting.program("agents_realtime.mjs", LAST, "secret.wav", key=minted["value"])
    (created,) = events(run, "session.created")
    assert created["session"]["audio"]["output"]["voice"] == "otto"
    assert run.made(LAST).samples > 0
    assert KEY not in run.output


async def test_openai_python_hears_a_translation_sample_for_sample(resting: Suite) -> None:
    run = await resting.driver("openai_translation.py")
    made, heard = run.made(GERMAN), run.facts["heard"]
    assert (run.facts["source"].strip(), run.facts["target"].strip()) == (ENGLISH, GERMAN)
    assert made.complete
    assert (heard["samples"], heard["sha256"]) == (made.samples, made.digest(made.samples))
    assert run.facts["kinds"][-1] == "session.closed"
