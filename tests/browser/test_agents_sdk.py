"""Scope: the Agents SDK of OpenAI, unmodified, over WebRTC from a page of another origin."""

from typing import Any

import pytest

from tests.browser.conftest import KEY, Visit
from tests.browser.unhurried import unhurried
from tests.browser.visitor import Visitor, assert_cut_where_heard, made
from tests.interop.engine_tap import EngineTap
from tests.serving.asking import ask
from tests.serving.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "The train leaves at nine."
LONG = "The harbour is quiet in the morning, and the ships come in before noon, one after the other. " * 3


async def joined(visitor: Visitor, service: Service, key: str, *, insecure: bool = False) -> dict[str, Any]:
    """The SDK connects; what it says of that."""
    await visitor.page.wait_for_function("window.agents")
    arguments = [f"http://{service.address}", key, insecure]
    script = "([url, key, insecure]) => agents.connect(url, key, insecure)"
    return await visitor.page.evaluate(script, arguments)  # type: ignore[no-any-return]


async def test_with_a_client_secret_it_hears_and_its_history_is_cut_where_it_interrupts(
    visit: Visit, elsewhere: str, guarded: Service, guarded_tap: EngineTap
) -> None:
    minted = await ask(guarded.address, "POST", "/v1/realtime/client_secrets", {}, key=KEY)
    visitor = await visit(elsewhere)
    connected = await joined(visitor, guarded, minted.json["value"])
    assert (connected["status"], connected["callId"][:4]) == ("connected", "rtc_")
    assert connected["tookMs"] < 5000, "it gave up waiting for session.updated"

    page = visitor.page
    await page.evaluate("(text) => agents.say(text)", SENTENCE)
    first = await visitor.event("output_audio_buffer.stopped")
    assert not (await visitor.heard()).silent
    since = len(guarded_tap.utterances)
    with unhurried(guarded.gateway.engine):
        await page.evaluate("(text) => agents.say(text)", LONG)
        started = await visitor.event("output_audio_buffer.started", first["at"])
        before = await visitor.stretched_ms()
        await page.wait_for_function("(at) => performance.now() > at + 800", arg=started["at"])
        interrupted = await visitor.now_ms()
        await page.evaluate("agents.interrupt()")
        truncated = await visitor.event("conversation.item.truncated")
        await visitor.event("conversation.item.retrieved")
    await page.wait_for_timeout(300)

    heard = await visitor.heard()
    stretched = await visitor.stretched_ms() - before
    assert heard.since(interrupted).audible_ms < 200 + stretched
    assert_cut_where_heard(truncated, heard, made(guarded_tap.spoken(LONG, since)[0].pcm), stretched)
    kinds = [one["event"]["type"] for one in await visitor.sent()]
    assert kinds[-3:] == ["response.cancel", "output_audio_buffer.clear", "conversation.item.retrieve"]
    *_, answer, asked, cut = await page.evaluate("agents.history()")
    assert (answer["text"], answer["status"]) == (SENTENCE, "completed")
    assert asked["text"] == LONG
    assert cut["status"] == "incomplete"
    assert 0 < len(cut["text"]) < len(LONG)
    assert LONG.startswith(cut["text"])
    assert await page.evaluate("agents.errors()") == visitor.failures == []
    await page.evaluate("agents.close()")


async def test_with_a_key_of_its_owner_it_connects_where_that_is_asked_for(
    visit: Visit, elsewhere: str, guarded: Service
) -> None:
    visitor = await visit(elsewhere)
    connected = await joined(visitor, guarded, KEY, insecure=True)
    assert (connected["status"], connected["callId"][:4]) == ("connected", "rtc_")
    await visitor.page.evaluate("agents.close()")


async def test_a_wrong_key_is_an_error_that_says_so(visit: Visit, elsewhere: str, guarded: Service) -> None:
    visitor = await visit(elsewhere)
    with pytest.raises(Exception, match="status 401: "):
        await joined(visitor, guarded, "ek_of_nobody")
