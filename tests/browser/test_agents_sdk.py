"""Scope: the Agents SDK of OpenAI, unmodified, over WebRTC from a page of another origin."""

import json

import pytest

from tests.browser.conftest import KEY, Visit
from tests.browser.visitor import made
from tests.interop.engine_tap import EngineTap
from tests.server.asking import ask
from tests.server.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "The train leaves at nine."
LONG = "The harbour is quiet in the morning, and the ships come in before noon, one after the other. " * 3


async def secret(service: Service) -> str:
    """What the page's own server would mint for it."""
    reply = await ask(service.address, "POST", "/v1/realtime/client_secrets", {}, key=KEY)
    value: str = reply.json["value"]
    return value


async def test_it_hears_and_what_it_interrupts_is_cut_in_its_history(
    visit: Visit, elsewhere: str, guarded: Service, guarded_tap: EngineTap
) -> None:
    visitor = await visit(f"{elsewhere}/", microphone=True)
    page = visitor.page
    await page.wait_for_function("window.agents")
    joined = await page.evaluate(
        "([url, key]) => agents.connect(url, key)", [f"http://{guarded.address}", await secret(guarded)]
    )
    print(joined)
    assert joined["status"] == "connected"
    assert joined["callId"].startswith("rtc_")
    assert joined["tookMs"] < 5000, "it gave up waiting for session.updated"

    await page.evaluate("(text) => agents.say(text)", SENTENCE)
    await visitor.event("output_audio_buffer.stopped")
    print((await visitor.heard()).audible_ms, made(guarded_tap.spoken(SENTENCE)[-1].pcm).audible_ms)

    begun = await visitor.now_ms()
    await page.evaluate("(text) => agents.say(text)", LONG)
    await visitor.event("output_audio_buffer.started", begun)
    await page.wait_for_timeout(1500)
    stopped = await visitor.now_ms()
    await page.evaluate("agents.interrupt()")
    await visitor.event("conversation.item.retrieved", begun)
    await page.wait_for_timeout(300)
    heard = await visitor.heard()
    print(heard.last_ms - stopped, await page.evaluate("agents.history()"), await page.evaluate("agents.errors()"))
    print(json.dumps(await visitor.sent())[:3000])
    print([(round(e["at"]), e["event"]["type"]) for e in await visitor.events() if e["at"] > begun])
