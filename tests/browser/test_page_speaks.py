"""Scope: the page at `/` over WebRTC: what is typed is heard, sample level and length, and what stops it."""

import numpy as np
import pytest

from tests.browser.conftest import Visit
from tests.browser.unhurried import unhurried
from tests.browser.visitor import made
from tests.hearing import sounds
from tests.interop.engine_tap import EngineTap
from tests.server.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "The train leaves at nine, and the next one leaves at ten."
LONG = (
    "The harbour is quiet in the morning. The ships come in before noon, one after the other. "
    "Then the gulls follow them, and the whole town hears it until the evening. "
) * 3


async def test_a_typed_sentence_is_heard_as_the_engine_made_it(visit: Visit, service: Service, tap: EngineTap) -> None:
    visitor = await visit(microphone=False)
    with unhurried(service.gateway.engine):
        await visitor["type-text"].fill(SENTENCE)
        await visitor["type-send"].click()
        await visitor.event("output_audio_buffer.started")
        before = await visitor.jitter_buffer()
        await visitor.event("output_audio_buffer.stopped")
    await visitor.page.wait_for_timeout(300)
    heard, spoken = await visitor.heard(), made(tap.spoken(SENTENCE)[-1].pcm)
    jb = await visitor.jitter_buffer()
    print(
        heard.spoken_ms,
        spoken.spoken_ms,
        heard.audible_ms,
        spoken.audible_ms,
        heard.energy_db - spoken.energy_db,
        {
            k: jb[k] - before[k]
            for k in ("concealedSamples", "insertedSamplesForDeceleration", "removedSamplesForAcceleration")
        },
    )
    np.savez("/tmp/heard.npz", heard=heard.pcm, made=spoken.pcm)
    assert await visitor["transport"].text_content() == "over WebRTC"
    assert abs(heard.energy_db - spoken.energy_db) < 0.5
    assert abs(heard.spoken_ms - spoken.spoken_ms) < 60
    assert visitor.failures == []


async def test_a_user_who_speaks_interrupts_and_history_ends_where_they_stopped_listening(
    visit: Visit, tap: EngineTap
) -> None:
    visitor = await visit()
    visitor.says_after(6.0, sounds.pcm(sounds.clip("question")), sounds.RATE)
    await visitor["connect"].click()
    await visitor.event("session.created")
    await visitor["type-text"].fill(LONG)
    await visitor["type-send"].click()
    await visitor.event("output_audio_buffer.started")
    noticed = await visitor.event("input_audio_buffer.speech_started")
    truncated = await visitor.event("conversation.item.truncated")
    await visitor.page.wait_for_timeout(500)
    heard, said = await visitor.heard(), await visitor.heard("microphone")
    whole = made(tap.spoken(LONG)[-1].pcm)
    np.savez("/tmp/heard.npz", heard=heard.pcm, made=whole.pcm)
    print(
        "onset->event",
        noticed["at"] - said.first_ms,
        "event->silence",
        heard.last_ms - noticed["at"],
        "end",
        truncated["event"],
        heard.place_in(whole),
        heard.spoken_ms,
        heard.audible_ms,
    )
    print([(round(e["at"]), e["event"]["type"]) for e in await visitor.events()][-30:])
    print(visitor.failures)
    await visitor.page.screenshot(path="/tmp/barge.png")
