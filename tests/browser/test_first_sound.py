"""Scope: a browser opens its speaker after it says so: what is spoken waits for that, and is heard whole."""

import re

import pytest
from playwright.async_api import Browser, Request, expect

from tests.browser.conftest import CHROMIUM, FLAGS, Visit
from tests.browser.unhurried import unhurried
from tests.browser.visitor import made
from tests.interop.engine_tap import EngineTap
from tests.serving.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "One two three four five six seven eight nine ten."
LATE_MS = 400
"""How long a browser with a jitter buffer this large hears the rest of what was cut."""
CALL = re.compile(r"/v1/realtime/calls(\?|$)")
CLOSED = """
  window.opens = false;
  const { get } = Object.getOwnPropertyDescriptor(BaseAudioContext.prototype, "currentTime");
  Object.defineProperty(BaseAudioContext.prototype, "currentTime", {
    get() { return window.opens ? get.call(this) : 0.02; },
  });
"""
"""A speaker that says it runs, and does not until `opens`."""
UNTOUCHED = """
  Object.defineProperty(navigator, "userActivation", { value: { hasBeenActive: false } });
  Object.defineProperty(BaseAudioContext.prototype, "state", { value: "suspended" });
"""
COUNTED = """
  window.made = 0;
  window.AudioContext = class extends AudioContext {
    constructor(...given) {
      super(...given);
      window.made += 1;
    }
  };
"""


async def test_the_first_sentence_of_a_browser_that_just_started_is_heard_at_once_and_whole(
    chromium: Browser, visit: Visit, service: Service, tap: EngineTap
) -> None:
    async with await chromium.browser_type.launch(executable_path=CHROMIUM, args=FLAGS) as fresh:
        visitor = await visit(f"http://{service.address}/", microphone=False, browser=fresh)
        with unhurried(service.gateway.engine):
            await visitor["type-text"].fill(SENTENCE)
            await visitor["type-text"].press("Enter")
            started = await visitor.event("output_audio_buffer.started")
            await visitor.event("output_audio_buffer.stopped")
        await visitor.page.wait_for_timeout(500)
        heard, spoken = await visitor.heard(), made(tap.spoken(SENTENCE)[-1].pcm)
    assert heard.first_ms - started["at"] < 600
    assert heard.audible_ms > spoken.audible_ms - 300


async def test_the_first_sound_after_an_interruption_is_none_of_what_was_said_before(
    visit: Visit, service: Service
) -> None:
    visitor = await visit(f"http://{service.address}/", microphone=False)
    total, count = visitor["latency-total"], visitor.page.locator("#latency-count")
    with unhurried(service.gateway.engine):
        await visitor["type-text"].fill(SENTENCE)
        await visitor["type-text"].press("Enter")
        await visitor.event("output_audio_buffer.started")
        await visitor.page.evaluate(f"ears.peer.getReceivers()[0].jitterBufferTarget = {LATE_MS}")
        await visitor.page.wait_for_timeout(2_000)
        await expect(count).to_have_text("1")
        await visitor["type-text"].fill("Good morning.")
        asked_ms = await visitor.now_ms()
        await visitor["type-text"].press("Enter")
        started = await visitor.event("output_audio_buffer.started", asked_ms)
        await expect(count).to_have_text("2")
        measured_ms = asked_ms + int(await total.inner_text())
        await visitor.page.wait_for_timeout(500)
    heard = await visitor.heard()
    assert measured_ms > started["at"] + LATE_MS / 2
    assert heard.since(measured_ms - 90).until(60).silent
    assert not heard.since(measured_ms - 30).until(120).silent


async def test_no_call_is_made_before_the_speaker_is_open(visit: Visit, service: Service) -> None:
    visitor = await visit(f"http://{service.address}/", microphone=False, script=CLOSED)
    calls: list[Request] = []
    visitor.page.on("request", lambda request: calls.append(request) if CALL.search(request.url) else None)
    await visitor["type-text"].fill(SENTENCE)
    await visitor["type-text"].press("Enter")
    await expect(visitor["state"]).to_have_text("connecting: opening the speaker")
    assert calls == []
    await visitor.page.evaluate("window.opens = true")
    await expect(visitor["log-it"].locator(".spoken")).to_have_text(SENTENCE)
    assert len(calls) == 1


@pytest.mark.parametrize(("script", "waits"), [(CLOSED, True), (CLOSED + UNTOUCHED, False)])
async def test_a_speaker_that_does_not_open_is_waited_for_a_while_unless_the_page_has_to_be_touched_first(
    visit: Visit, service: Service, script: str, waits: bool
) -> None:
    visitor = await visit(f"http://{service.address}/", microphone=False, script=script)
    await visitor["type-text"].fill(SENTENCE)
    asked_ms = await visitor.now_ms()
    await visitor["type-text"].press("Enter")
    created = await visitor.event("session.created")
    assert (created["at"] - asked_ms > 2900) == waits


async def test_the_first_touch_opens_the_speaker_that_the_call_then_takes(visit: Visit, service: Service) -> None:
    visitor = await visit(f"http://{service.address}/", microphone=False, script=COUNTED)
    await visitor["tab-say"].click()
    assert await visitor.page.evaluate("window.made") == 1
    await visitor["say-send"].click()
    await visitor.event("session.created")
    assert await visitor.page.evaluate("window.made") == 1
