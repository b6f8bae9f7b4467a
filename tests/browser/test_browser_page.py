"""Scope: the page at `/`: what is typed is heard, what interrupts it, and what it says where something is missing."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Route, expect

from realtime.commands.serve import running
from realtime.config import Config
from tests.browser.conftest import KEY, Visit
from tests.browser.unhurried import unhurried
from tests.browser.visitor import Visitor, assert_cut_where_heard, made
from tests.hearing import sounds
from tests.interop.engine_tap import EngineTap
from tests.serving.wire import Service, eventually, idle, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "The train leaves at nine, and the next one leaves at ten."
SHORT = "A ship comes in."
LONG = (
    "The harbour is quiet in the morning. The ships come in before noon, one after the other. "
    "Then the gulls follow them, and the whole town hears it until the evening. "
) * 3

HAS_LEVEL = """(name) => {
  const canvas = document.getElementById("timeline");
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
  const wanted = [1, 3, 5].map((at) => Number.parseInt(pen.fillStyle.slice(at, at + 2), 16));
  const labels = 60 * devicePixelRatio;
  const { data } = pen.getImageData(labels, 0, canvas.width - labels, canvas.height);
  const isWanted = (at) => wanted.every((value, index) => Math.abs(data[at + index] - value) < 8) && data[at + 3] > 200;
  return data.some((_, at) => at % 4 === 0 && isWanted(at));
}"""
"""Whether the timeline draws anything in a colour, but for its labels."""


def home(service: Service) -> str:
    return f"http://{service.address}/"


async def types(visitor: Visitor, text: str) -> None:
    await visitor["type-text"].fill(text)
    await visitor["type-send"].click()


async def test_a_typed_sentence_is_heard_as_loud_and_as_long_as_the_engine_made_it(
    visit: Visit, service: Service, tap: EngineTap
) -> None:
    visitor = await visit(home(service), microphone=False)
    with unhurried(service.gateway.engine):
        await types(visitor, SENTENCE)
        await visitor.event("output_audio_buffer.started")
        before = await visitor.stretched_ms()
        await visitor.event("output_audio_buffer.stopped")
    await expect(visitor["log-it"].locator(".spoken")).to_have_text(SENTENCE)
    await visitor.page.wait_for_timeout(300)
    heard, spoken = await visitor.heard(), made(tap.spoken(SENTENCE)[-1].pcm)
    stretched = await visitor.stretched_ms() - before
    assert await visitor["transport"].text_content() == "over WebRTC"
    assert heard.energy_db == pytest.approx(spoken.energy_db, abs=0.5)
    assert heard.spoken_ms == pytest.approx(spoken.spoken_ms, abs=60 + stretched)
    assert visitor.failures == []


async def test_a_user_who_speaks_silences_it_and_history_ends_at_the_last_sample_they_heard(
    visit: Visit, service: Service, tap: EngineTap
) -> None:
    visitor = await visit(home(service))
    visitor.will_say(sounds.pcm(np.concatenate([sounds.silence(8.0), sounds.clip("question")])), sounds.RATE)
    await visitor["connect"].click()
    await expect(visitor["transport"]).to_have_text("over WebRTC")
    since = len(tap.utterances)
    with unhurried(service.gateway.engine):
        await types(visitor, LONG)
        started = await visitor.event("output_audio_buffer.started")
        before = await visitor.stretched_ms()
        noticed = await visitor.event("input_audio_buffer.speech_started", started["at"])
        truncated = await visitor.event("conversation.item.truncated")
    await expect(visitor["state"]).to_have_attribute("data-state", "listening")
    heard, said = await visitor.heard(), await visitor.heard("microphone")
    stretched = await visitor.stretched_ms() - before
    assert heard.since(noticed["at"]).audible_ms < 200 + stretched
    assert 0 < noticed["at"] - said.onset_before_ms(noticed["at"]) < 500
    assert_cut_where_heard(truncated, heard, made(tap.spoken(LONG, since)[0].pcm), stretched)
    await expect(visitor["log-it"].last).to_contain_text("cut after")


@pytest.mark.parametrize("hand", ["button", "key"])
async def test_the_interrupt_button_and_its_key_silence_it_and_strike_the_rest_out(
    visit: Visit, service: Service, tap: EngineTap, hand: str
) -> None:
    visitor = await visit(home(service), microphone=False)
    since = len(tap.utterances)
    with unhurried(service.gateway.engine):
        await types(visitor, LONG)
        await visitor.event("response.created")
        await expect(visitor["interrupt"]).to_be_enabled()
        started = await visitor.event("output_audio_buffer.started")
        before = await visitor.stretched_ms()
        await visitor.page.wait_for_function("(at) => performance.now() > at + 800", arg=started["at"])
        if hand == "button":
            await visitor["interrupt"].click()
        else:
            await visitor.page.keyboard.press("Escape")
        truncated = await visitor.event("conversation.item.truncated")
    await expect(visitor["state"]).to_have_attribute("data-state", "connected")
    heard, sent = await visitor.heard(), await visitor.sent()
    (cleared,) = [one for one in sent if one["event"]["type"] == "output_audio_buffer.clear"]
    stretched = await visitor.stretched_ms() - before
    assert heard.since(cleared["at"]).audible_ms < 200 + stretched
    assert_cut_where_heard(truncated, heard, made(tap.spoken(LONG, since)[0].pcm), stretched)
    await is_struck(visitor)
    assert visitor.failures == []


async def is_struck(visitor: Visitor) -> None:
    """The last text of the voice is struck through from somewhere on."""
    line = visitor["log-it"].last
    await expect(line.locator("s")).not_to_be_empty()
    text = "".join([await line.locator(kind).inner_text() for kind in (".spoken", "s")])
    assert LONG.startswith(text)


async def test_where_udp_leads_nowhere_it_speaks_over_a_websocket_and_says_why(visit: Visit, service: Service) -> None:
    async def cut_off(route: Route) -> None:
        """Neither side is told where the other is."""
        answer = await route.fetch(post_data=_nowhere(route.request.post_data or ""))
        await route.fulfill(response=answer, body=_nowhere(await answer.text()))

    visitor = await visit(home(service), microphone=False)
    await visitor.page.route(re.compile(r"/v1/realtime/calls(\?|$)"), cut_off)
    await types(visitor, SHORT)
    await expect(visitor["transport"]).to_have_text("over WebSocket, because no connection came about within 5 s (ICE)")
    await expect(visitor["log-it"].locator(".spoken")).to_have_text(SHORT)
    await visitor.page.wait_for_timeout(300)
    assert (await visitor.heard("worklets")).audible_ms > 300
    assert visitor.failures == []


def _nowhere(sdp: str) -> str:
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith("a=candidate"))


async def test_without_a_microphone_one_listens_and_types(visit: Visit, service: Service) -> None:
    visitor = await visit(home(service), microphone=False)
    await visitor["connect"].click()
    await expect(visitor["notice-text"]).to_contain_text("The microphone is not allowed here")
    await expect(visitor["transport"]).to_have_text("over WebRTC")
    await types(visitor, SHORT)
    await visitor.event("output_audio_buffer.stopped")
    assert not (await visitor.heard()).silent
    await expect(visitor["timeline-text"]).to_contain_text("Last 20 s: no microphone, voice ")
    assert not await visitor.page.evaluate(HAS_LEVEL, "--you")
    assert await visitor.page.evaluate(HAS_LEVEL, "--it")


async def test_a_microphone_that_does_not_come_leaves_the_conversation_alone(visit: Visit, service: Service) -> None:
    visitor = await visit(home(service), microphone=False)
    await types(visitor, SHORT)
    await visitor.event("output_audio_buffer.stopped")
    await visitor["connect"].click()
    await expect(visitor["notice-text"]).to_contain_text("The microphone is not allowed here")
    await types(visitor, SENTENCE)
    await expect(visitor["log-it"].last.locator(".spoken")).to_have_text(SENTENCE)
    assert await sessions(visitor) == 1


@pytest.mark.parametrize(("transport", "name"), [("auto", "WebRTC"), ("websocket", "WebSocket")])
async def test_a_microphone_can_join_the_conversation(
    visit: Visit, service: Service, transport: str, name: str
) -> None:
    visitor = await visit(f"{home(service)}?transport={transport}")
    await types(visitor, SHORT)
    await expect(visitor["log-it"].locator(".spoken")).to_have_text(SHORT)
    await expect(visitor["state"]).to_have_attribute("data-state", "connected")
    visitor.will_say(sounds.pcm(np.concatenate([sounds.silence(1.0), sounds.clip("question")])), sounds.RATE)
    await visitor["connect"].click()
    await expect(visitor["state"]).to_have_attribute("data-state", "listening")
    await expect(visitor["connect"]).to_have_text("Hang up")
    await visitor.event("input_audio_buffer.committed")
    await expect(visitor["transport"]).to_contain_text(f"over {name}")
    assert await sessions(visitor) == 1


async def sessions(visitor: Visitor) -> int:
    """How many the visitor had so far."""
    return [one["event"]["type"] for one in await visitor.events()].count("session.created")


async def test_however_slowly_the_server_is_told_hanging_up_is_no_error(visit: Visit, service: Service) -> None:
    async def slowly(route: Route) -> None:
        await asyncio.sleep(0.5)
        await route.continue_()

    visitor = await visit(home(service))
    await visitor.page.route(re.compile("/hangup$"), slowly)
    await visitor["connect"].click()
    await expect(visitor["state"]).to_have_attribute("data-state", "listening")
    async with visitor.page.expect_response(re.compile("/hangup$")) as told:
        await visitor["connect"].click()
    assert (await told.value).ok
    await eventually(lambda: idle(service.gateway), "the call is over", 10.0)


async def test_at_first_it_says_what_talking_is_good_for(visit: Visit, service: Service) -> None:
    visitor = await visit(home(service))
    await expect(visitor["connect"]).to_have_text("Start microphone")
    await expect(visitor["connect-text"]).to_have_text("Start the microphone to interrupt the voice by talking.")
    await expect(visitor["log-empty"]).to_contain_text("What you type is spoken; nothing answers what you say yet.")
    assert [await one.inner_text() for one in await visitor.page.locator(".primary:visible").all()] == ["Send"]


async def test_while_nothing_is_said_there_is_nothing_to_interrupt(visit: Visit, service: Service) -> None:
    visitor = await visit(home(service), microphone=False)
    await expect(visitor["interrupt"]).to_be_disabled()
    await visitor["connect"].click()
    await expect(visitor["transport"]).to_have_text("over WebRTC")
    await expect(visitor["interrupt"]).to_be_disabled()
    await types(visitor, SHORT)
    await expect(visitor["interrupt"]).to_be_enabled()
    await visitor.event("output_audio_buffer.stopped")
    await expect(visitor["interrupt"]).to_be_disabled()
    await expect(visitor["say-stop"]).to_be_disabled()
    before = await visitor.sent()
    await visitor.page.keyboard.press("Escape")
    await visitor.page.wait_for_timeout(100)
    assert await visitor.sent() == before


async def test_who_talks_and_is_not_answered_is_told_why(visit: Visit, service: Service) -> None:
    visitor = await visit(home(service))
    visitor.will_say(sounds.pcm(np.concatenate([sounds.silence(1.0), sounds.clip("question")])), sounds.RATE)
    await visitor["connect"].click()
    await visitor.event("input_audio_buffer.committed")
    await expect(visitor["notice-text"]).to_contain_text("nothing here turns speech into words yet: type")


async def test_what_is_typed_without_a_word_is_not_taken_for_talk(visit: Visit, service: Service) -> None:
    visitor = await visit(home(service), microphone=False)
    await types(visitor, "\N{SLIGHTLY SMILING FACE}")
    await expect(visitor["notice-text"]).to_have_text(
        "The last user text has no word to speak; send letters or digits."
    )


async def test_an_interruption_is_told_in_words_as_soon_as_it_is_drawn(visit: Visit, service: Service) -> None:
    visitor = await visit(home(service), microphone=False)
    with unhurried(service.gateway.engine):
        await types(visitor, LONG)
        await visitor.event("output_audio_buffer.started")
        await expect(visitor["timeline-text"]).to_contain_text("0 interruptions")
        told = await visitor.page.evaluate(
            """() => {
              document.getElementById("interrupt").click();
              return document.getElementById("timeline-text").textContent;
            }"""
        )
    assert "1 interruption," in told


async def test_while_the_engine_loads_it_says_how_far_that_is_and_goes_on_by_itself(
    visit: Visit, noise_checkpoint: Callable[[int], Path]
) -> None:
    async with running(Config(port=0, model=str(noise_checkpoint(1)), device="cpu", threads=1)) as (_, gateway, url):
        visitor = await visit(home(Service(gateway, url)), microphone=False)
        await expect(visitor["notice-text"]).to_contain_text("The engine is loading. Stage: ")
        await expect(visitor["state"]).to_have_attribute("data-state", "loading")
        await expect(visitor["notice"]).to_be_hidden()
        await expect(visitor["engine-badge"]).to_contain_text("noise")
        await visitor.page.close()


async def test_a_server_with_keys_asks_for_one_and_says_when_it_is_wrong(visit: Visit, guarded: Service) -> None:
    visitor = await visit(home(guarded), microphone=False)
    await expect(visitor["notice-text"]).to_have_text("This server asks for a key; enter it to go on.")
    await visitor["key"].fill("sk-of-nobody")
    await visitor["key"].press("Enter")
    await expect(visitor["notice-text"]).to_have_text("The server does not know this key: enter another one.")
    await visitor["key"].fill(KEY)
    await visitor["key"].press("Enter")
    await expect(visitor["notice"]).to_be_hidden()
    await types(visitor, SHORT)
    await visitor.event("output_audio_buffer.stopped")


async def test_what_was_typed_ahead_of_the_key_is_said_after_it(visit: Visit, guarded: Service) -> None:
    visitor = await visit(home(guarded), microphone=False)
    await expect(visitor["key"]).to_be_visible()
    await types(visitor, SHORT)
    await expect(visitor["type-text"]).to_have_value(SHORT)
    await visitor["key"].fill("sk-of-nobody")
    await visitor["key"].press("Enter")
    await expect(visitor["notice-text"]).to_have_text("The server does not know this key: enter another one.")
    await expect(visitor["type-text"]).to_have_value(SHORT)
    await visitor["key"].fill(KEY)
    await visitor["key"].press("Enter")
    await expect(visitor["log-it"].locator(".spoken")).to_have_text([SHORT])
    await expect(visitor["type-text"]).to_have_value("")


@pytest.mark.parametrize(("transport", "name"), [("auto", "WebRTC"), ("websocket", "WebSocket")])
async def test_a_full_server_is_waited_for(visit: Visit, guarded: Service, transport: str, name: str) -> None:
    visitor = await visit(f"{home(guarded)}?transport={transport}", microphone=False)
    await visitor["key"].fill(KEY)
    await visitor["key"].press("Enter")
    await expect(visitor["notice"]).to_be_hidden()
    headers = {"Authorization": f"Bearer {KEY}"}
    async with wire(guarded, additional_headers=headers):
        async with wire(guarded, additional_headers=headers):
            await visitor["connect"].click()
            await expect(visitor["state"]).to_have_attribute("data-state", "full")
            await expect(visitor["notice-text"]).to_contain_text(re.compile(r"number \d+ in line\. Trying again"))
        await expect(visitor["transport"]).to_contain_text(f"over {name}")


async def test_a_clip_that_is_no_sound_is_refused_with_a_sentence(
    visit: Visit, service: Service, tmp_path: Path
) -> None:
    noise = tmp_path / "clip.wav"
    noise.write_bytes(b"RIFF, but no sound")
    visitor = await visit(home(service), microphone=False)
    await visitor["voice-add"].locator("summary").click()
    form = visitor["voice-form"]
    await form.locator("[name=name]").fill("me")
    await form.locator("[name=audio_sample]").set_input_files(noise)
    await form.locator("[name=transcript]").fill("Hello.")
    await form.locator("[name=consent]").fill("It is my own voice.")
    await form.locator("button").click()
    await expect(visitor["voice-form-text"]).to_have_text(
        "The clip is neither a WAV nor a FLAC file; convert it to 16-bit PCM WAV."
    )
