"""Scope: how the page looks in its main states, wide and narrow, light and dark: nothing sticks out.

The pictures are left in the folder SCREENSHOTS, if that is set.
"""

import os
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.unhurried import unhurried
from tests.browser.visitor import Visitor
from tests.server.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDTHS = (1280, 360)
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LONG = "The harbour is quiet in the morning, and the ships come in before noon. " * 8
STICKS_OUT = """() => [...document.querySelectorAll("body *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
  .filter((one) => !one.closest("#log, #events-list, .sr"))
  .map((one) => one.outerHTML.slice(0, 120))"""

Look = Callable[[Visitor, str], Awaitable[None]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Looks at a page in all widths and colours; takes pictures."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))

    async def at(visitor: Visitor, state: str) -> None:
        page = visitor.page
        for width, colours in product(WIDTHS, COLOURS):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.emulate_media(color_scheme=colours)
            await page.screenshot(path=folder / f"{state}-{width}-{colours}.png", full_page=True)
            assert await page.evaluate(STICKS_OUT) == [], f"{state} at {width} px"

    return at


async def test_at_rest_and_with_its_drawers_open(visit: Visit, service: Service, look: Look) -> None:
    visitor = await visit(f"http://{service.address}/", microphone=False)
    await expect(visitor["engine-badge"]).to_contain_text("pocket")
    await look(visitor, "rest")
    await visitor["tab-say"].click()
    await visitor["voice-add"].locator("summary").click()
    await visitor["drawer"].locator("summary").click()
    await look(visitor, "open")


async def test_with_a_microphone_while_it_speaks_and_after_it_was_interrupted(
    visit: Visit, service: Service, look: Look
) -> None:
    visitor = await visit(f"http://{service.address}/")
    await visitor["connect"].click()
    await expect(visitor["state"]).to_have_attribute("data-state", "listening")
    await look(visitor, "listening")
    with unhurried(service.gateway.engine):
        await visitor["type-text"].fill(LONG)
        await visitor["type-send"].click()
        await expect(visitor["log-it"].locator(".spoken")).not_to_be_empty()
        await look(visitor, "speaking")
        await expect(visitor["log-it"].locator(".queued")).not_to_be_empty()
        await visitor["type-text"].press("Escape")
        await visitor.event("conversation.item.truncated")
    await expect(visitor["log-it"].locator("s")).not_to_be_empty()
    await visitor["drawer"].locator("summary").click()
    await look(visitor, "interrupted")


async def test_with_something_to_complain_of(visit: Visit, service: Service, guarded: Service, look: Look) -> None:
    visitor = await visit(f"http://{guarded.address}/", microphone=False)
    await expect(visitor["notice-text"]).to_contain_text("key")
    await look(visitor, "key")
    visitor = await visit(f"http://{service.address}/", microphone=False)
    await visitor["connect"].click()
    await expect(visitor["notice-text"]).to_contain_text("microphone")
    await look(visitor, "no-microphone")
