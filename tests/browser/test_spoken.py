"""Scope: the page in a spoken conversation: a person's recording as the microphone, Whisper and the rules behind it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from realtime.commands.serve import running
from realtime.config import Config
from tests.browser.conftest import Visit
from tests.hearing import sounds
from tests.recognition.recordings import AUSTEN, austen, plain
from tests.serving.wire import Service, listens

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def talkative(unbroken: None) -> AsyncIterator[Service]:
    config = Config(port=0, device="cpu", threads=1, slots=4, brain="rules")
    async with running(config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 120)
        await listens(gateway)
        yield Service(gateway, url)


async def test_what_a_person_says_is_shown_in_words_and_answered(
    visit: Visit, talkative: Service, tmp_path: Path
) -> None:
    visitor = await visit(f"http://{talkative.address}/")
    visitor.will_say(bytes(2 * sounds.RATE) + austen("0930"), sounds.RATE)
    await visitor["connect"].click()
    completed = await visitor.event("conversation.item.input_audio_transcription.completed")
    assert plain(completed["event"]["transcript"]) == AUSTEN["0930"]
    await expect(visitor["log-you"].last).to_contain_text(completed["event"]["transcript"])
    await visitor.event("output_audio_buffer.started", completed["at"])
    await expect(visitor["log-it"].last).to_contain_text("You said")
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    await visitor.page.screenshot(path=folder / "spoken.png", full_page=True)
    assert visitor.failures == []
