"""Scope: the page at `/` over WebRTC: what is typed is heard, sample level and length, and what stops it."""

import numpy as np
import pytest

from tests.browser.conftest import Visit
from tests.browser.unhurried import unhurried
from tests.browser.visitor import made
from tests.interop.engine_tap import EngineTap
from tests.server.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "The train leaves at nine, and the next one leaves at ten."


async def test_a_typed_sentence_is_heard_as_the_engine_made_it(visit: Visit, service: Service, tap: EngineTap) -> None:
    visitor = await visit(microphone=False)
    with unhurried(service.gateway.engine):
        await visitor["type-text"].fill(SENTENCE)
        await visitor["type-send"].click()
        await visitor.event("output_audio_buffer.stopped")
    await visitor.page.wait_for_timeout(300)
    heard, spoken = await visitor.heard(), made(tap.spoken(SENTENCE)[-1].pcm)
    jb = await visitor.jitter_buffer()
    print(heard.spoken_ms, spoken.spoken_ms, heard.audible_ms, spoken.audible_ms, heard.energy_db - spoken.energy_db, {k: jb[k] for k in ('concealedSamples','insertedSamplesForDeceleration','removedSamplesForAcceleration')})
    np.savez('/tmp/heard.npz', heard=heard.pcm, made=spoken.pcm)
    assert await visitor["transport"].text_content() == "over WebRTC"
    assert abs(heard.energy_db - spoken.energy_db) < 0.5
    assert abs(heard.spoken_ms - spoken.spoken_ms) < 60
    assert visitor.failures == []
