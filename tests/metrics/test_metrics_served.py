"""Scope: `/metrics` of a running server: after speech, interruption and refusals it says what happened."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import get_args

import pytest
from websockets.asyncio.client import connect

from realtime.metrics.registry import RefusalReason
from realtime.metrics.session_meters import GapCause, Transport
from realtime.metrics.webrtc_meters import CloseReason
from tests.serving.asking import ask, handshake
from tests.serving.caller import caller
from tests.serving.scrape import Scraped
from tests.serving.wire import LONG, PATIENCE_S, RATE, Service, eventually, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "Good evening. The quokka sleeps."


async def scrape(service: Service) -> Scraped:
    reply = await ask(service.address, "GET", "/metrics")
    assert reply.status == 200
    return Scraped(reply.body.decode())


def grown(before: Scraped, after: Scraped, name: str, **labels: str) -> float:
    return after.value(name, **labels) - before.value(name, **labels)


async def test_a_spoken_response_is_measured_as_its_client_heard_it(resting: Service) -> None:
    before = await scrape(resting)
    async with wire(resting) as talk:
        assert (await scrape(resting)).value("voiced_sessions", transport="websocket") == 1
        spoken = await talk.say(TEXT)
    await eventually(lambda: not resting.gateway.sessions, "the session is over")
    after = await scrape(resting)
    assert after.value("voiced_sessions", transport="websocket") == 0
    assert grown(before, after, "voiced_sessions_opened_total", transport="websocket") == 1
    status = spoken.response["status"]  # noise does not end by itself: it may be cut off at the length cap
    reason = (spoken.response["status_details"] or {}).get("reason", "")
    assert grown(before, after, "voiced_responses_total", transport="websocket", status=status, reason=reason) == 1
    assert grown(before, after, "voiced_first_audio_seconds_count", transport="websocket") == 1
    assert 0 < grown(before, after, "voiced_first_audio_seconds_sum", transport="websocket") < PATIENCE_S
    assert 0 < grown(before, after, "voiced_engine_first_audio_seconds_sum") < PATIENCE_S
    assert grown(before, after, "voiced_engine_first_audio_seconds_count") == 1
    seconds = grown(before, after, "voiced_audio_seconds_total", transport="websocket")
    assert seconds == pytest.approx(spoken.samples / RATE)
    usage = spoken.response["usage"]
    assert grown(before, after, "voiced_frames_total") == usage["output_tokens"]
    assert grown(before, after, "voiced_prompt_positions_total") == usage["input_tokens"]
    assert grown(before, after, "voiced_prompt_positions_cached_total") == spoken.cached
    clauses = sum(grown(before, after, "voiced_clauses_total", reason=reason) for reason in ("stop", "length"))
    assert clauses >= 1
    assert grown(before, after, "voiced_lead_seconds_count", transport="websocket") == clauses - 1


async def test_a_file_is_a_session_of_its_own_kind(resting: Service) -> None:
    before = await scrape(resting)
    reply = await ask(resting.address, "POST", "/v1/audio/speech", {"input": TEXT, "response_format": "pcm"})
    await eventually(lambda: not resting.gateway.sessions, "the session is over")
    after = await scrape(resting)
    ends = [("completed", ""), ("incomplete", "max_output_tokens")]
    responses = [
        grown(before, after, "voiced_responses_total", transport="speech", status=status, reason=reason)
        for status, reason in ends
    ]
    assert sum(responses) == 1
    seconds = grown(before, after, "voiced_audio_seconds_total", transport="speech")
    assert seconds == pytest.approx(len(reply.body) / 2 / RATE)


async def test_other_protocols_are_sessions_of_their_kinds(resting: Service) -> None:
    paths: dict[Transport, str] = {"cartesia": "/tts/websocket", "translation": "/v1/realtime/translations"}
    for transport, path in paths.items():
        async with connect(f"ws://{resting.address}{path}"):
            await eventually(lambda: bool(resting.gateway.sessions), "the session has begun")
            assert (await scrape(resting)).value("voiced_sessions", transport=transport) == 1
        await eventually(lambda: not resting.gateway.sessions, "the session is over")


async def test_a_response_that_is_cut_is_counted_with_who_cut_it(resting: Service) -> None:
    before = await scrape(resting)
    async with wire(resting) as talk:
        await talk.start(LONG)
        await talk.until("response.output_audio.delta")
        await talk.send("response.cancel")
        await talk.until("response.done")
        await talk.start(LONG)
        await talk.until("response.output_audio.delta")
    await eventually(lambda: not resting.gateway.sessions, "the session is over")
    after = await scrape(resting)
    for reason in ("client_cancelled", "disconnected"):
        labels = {"transport": "websocket", "status": "cancelled", "reason": reason}
        assert grown(before, after, "voiced_responses_total", **labels) == 1
    assert grown(before, after, "voiced_first_audio_seconds_count", transport="websocket") == 2


async def test_a_web_rtc_call_is_measured_as_it_is_played(resting: Service) -> None:
    before = await scrape(resting)
    async with caller(resting) as call:
        assert (await scrape(resting)).value("voiced_sessions", transport="webrtc") == 1
        await call.start(TEXT)
        await call.until("output_audio_buffer.stopped")
    await eventually(lambda: not resting.gateway.sessions, "the call is over")
    assert (
        await ask(resting.address, "POST", "/v1/realtime/calls", b"v=0", {"Content-Type": "text/plain"})
    ).status == 415
    after = await scrape(resting)
    prefix = "voiced_webrtc_"
    assert grown(before, after, f"{prefix}connects_total", outcome="connected") == 1
    assert grown(before, after, f"{prefix}connects_total", outcome="refused") == 1
    assert grown(before, after, f"{prefix}connects_total", outcome="never_connected") == 0
    closed = [grown(before, after, f"{prefix}calls_closed_total", reason=reason) for reason in get_args(CloseReason)]
    assert sum(closed) == 1
    seconds = grown(before, after, "voiced_audio_seconds_total", transport="webrtc")
    assert seconds > 0
    assert grown(before, after, f"{prefix}packets_sent_total") >= seconds / 0.02
    assert grown(before, after, f"{prefix}packet_lateness_seconds_count") >= seconds / 0.02
    assert grown(before, after, "voiced_first_audio_seconds_count", transport="webrtc") == 1
    assert grown(before, after, "voiced_sessions_opened_total", transport="webrtc") == 1


async def test_whoever_is_not_let_in_is_counted(resting: Service) -> None:
    before = await scrape(resting)
    async with AsyncExitStack() as stack:
        for _ in range(resting.gateway.config.max_sessions):
            await stack.enter_async_context(wire(resting))
        assert (await handshake(resting.address, "/v1/realtime")).status == 503
        assert (await ask(resting.address, "POST", "/v1/audio/speech", {"input": TEXT})).status == 503
    after = await scrape(resting)
    assert grown(before, after, "voiced_sessions_refused_total", reason="too_many_sessions") == 2


async def test_the_engine_and_the_event_loop_are_shown(resting: Service) -> None:
    info = resting.gateway.engine.info
    assert info is not None
    before = await scrape(resting)
    await asyncio.sleep(0.2)
    after = await scrape(resting)
    assert after.value("voiced_engine_ready") == 1
    assert after.value("voiced_engine_slots") == info.max_slots
    assert after.value("voiced_engine_kv_pages") == info.pages
    assert after.value("voiced_engine_slots_used") == 0
    assert after.value("voiced_engine_process_resident_memory_bytes") > 1e7
    assert grown(before, after, "voiced_event_loop_lag_seconds_count") >= 1


async def test_nothing_that_a_client_says_is_a_label(resting: Service) -> None:
    async with wire(resting) as talk:
        await talk.start(TEXT, instructions="Whisper quokka.", metadata={"quokka": "quokka"})
        await talk.until("response.done")
        await talk.send("response.create", response={"conversation": "none", "metadata": {"animal": "quokka"}})
        await talk.until("response.done")
    reply = await ask(resting.address, "GET", "/metrics")
    assert b"quokka" not in reply.body
    labels = Scraped(reply.body.decode()).labels()
    assert labels["transport"] == set(get_args(Transport))
    assert labels["cause"] == set(get_args(GapCause))
    assert set(get_args(RefusalReason)) <= labels["reason"]
    assert labels["status"] <= {"completed", "cancelled", "incomplete", "failed"}
    assert json.dumps(sorted(labels["reason"])).isascii()
