"""Scope: how the page looks in its main states, wide and narrow, light and dark: nothing sticks out or is pale, what is
new is in sight.

The pictures are left in the folder SCREENSHOTS, if that is set.
"""

import os
import re
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.conftest import KEY, Visit
from tests.browser.unhurried import unhurried
from tests.browser.visitor import Visitor
from tests.serving.wire import Service, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEIGHTS = {1280: 900, 360: 640}
"""By width."""
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LONG = "The harbour is quiet in the morning, and the ships come in before noon. " * 8
SEVERAL_WORDS = re.compile(r"\S+\s+\S+\s+\S+")
STICKS_OUT = """() => [...document.querySelectorAll("body *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
  .filter((one) => !one.closest("#log, #events-list, .sr"))
  .map((one) => one.outerHTML.slice(0, 120))"""

ON_TOP = """() => {
  const texts = [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && !one.closest(".sr, #log, #events-list, .drawer"))
    .filter((one) => getComputedStyle(one).clipPath === "none")
    .flatMap((one) => [...one.childNodes])
    .filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())
    .flatMap((node) => {
      const range = document.createRange();
      range.selectNode(node);
      return [...range.getClientRects()].map((box) => ({ node, box }));
    });
  const beside = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1;
  const apart = (a, b) => beside(a, b) || a.bottom <= b.top + 3 || b.bottom <= a.top + 3;
  return texts
    .flatMap((a, index) => texts.slice(index + 1).map((b) => [a, b]))
    .filter(([a, b]) => a.node !== b.node && !apart(a.box, b.box))
    .map(([a, b]) => `${a.node.data.trim().slice(0, 40)} / ${b.node.data.trim().slice(0, 40)}`);
}"""
"""Text that lies on other text."""

PALE = """() => {
  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const over = (top, a, below) => top.map((value, index) => value * a + below[index] * (1 - a));
  const ground = (one) => {
    if (one === null) {
      return [255, 255, 255];
    }
    const { rgb, a } = rgba(getComputedStyle(one).backgroundColor);
    return a === 1 ? rgb : over(rgb, a, ground(one.parentElement));
  };
  const opacity = (one) => (one === null ? 1 : getComputedStyle(one).opacity * opacity(one.parentElement));
  const luminance = (rgb) => {
    const shares = rgb.map((value) => value / 255);
    const [r, g, b] = shares.map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one) => {
    const below = ground(one);
    const { rgb, a } = rgba(getComputedStyle(one).color);
    const [dark, light] = [below, over(rgb, a * opacity(one), below)].map(luminance).sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  const hasText = (one) => [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && hasText(one) && !one.closest(":disabled, .sr"))
    .filter((one) => contrast(one) < 4.5)
    .map((one) => `${contrast(one).toFixed(1)}: ${one.outerHTML.slice(0, 120)}`);
}"""
"""Text of less contrast than WCAG AA asks for."""

Look = Callable[[Visitor, str], Awaitable[None]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Looks at a page in all widths and colours; takes pictures."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))

    async def at(visitor: Visitor, state: str) -> None:
        page = visitor.page
        for width, colours in product(HEIGHTS, COLOURS):
            await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
            await page.emulate_media(color_scheme=colours)
            await page.screenshot(path=folder / f"{state}-{width}-{colours}.png", full_page=True)
            assert await page.evaluate(STICKS_OUT) == [], f"{state} at {width} px"
            assert await page.evaluate(ON_TOP) == [], f"{state} at {width} px"
            assert await page.evaluate(PALE) == [], f"{state} in {colours}"

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
        await expect(visitor["log-it"].locator(".queued")).to_have_text(
            SEVERAL_WORDS
        )  # a last one may end before the key
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


async def test_in_the_waiting_line_one_button_cancels(visit: Visit, guarded: Service, look: Look) -> None:
    visitor = await visit(f"http://{guarded.address}/", microphone=False)
    await visitor["key"].fill(KEY)
    await visitor["key"].press("Enter")
    await expect(visitor["notice"]).to_be_hidden()
    headers = {"Authorization": f"Bearer {KEY}"}
    cancel = visitor.page.get_by_role("button", name="Cancel")
    async with wire(guarded, additional_headers=headers), wire(guarded, additional_headers=headers):
        await visitor["connect"].click()
        await expect(visitor["notice-text"]).to_contain_text("in line")
        await expect(cancel).to_have_count(1)
        await look(visitor, "waiting")
        await visitor.page.wait_for_timeout(3_000)
        await expect(cancel).to_have_count(1)
        await cancel.click()
    await expect(visitor["state"]).to_have_attribute("data-state", "offline")
    await expect(visitor["connect"]).to_be_enabled()


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 800)])
async def test_the_newest_line_is_in_sight(visit: Visit, service: Service, width: int, height: int) -> None:
    visitor = await visit(f"http://{service.address}/", microphone=False, width=width, height=height)
    with unhurried(service.gateway.engine):
        await visitor["type-text"].fill(LONG)
        await visitor["type-text"].press("Enter")
        await expect(visitor["log-it"].locator(".spoken")).not_to_be_empty()
        await expect(visitor["log-it"].locator(".queued")).to_be_in_viewport(ratio=1)
        await visitor["type-text"].press("Escape")
        await visitor.event("conversation.item.truncated")
    await expect(visitor["log-it"].locator("small")).to_contain_text("cut after")
    await expect(visitor["log-it"].locator("small")).to_be_in_viewport(ratio=1)
    await expect(visitor["log-it"].locator("s")).to_be_in_viewport(ratio=1)
    await visitor["drawer"].locator("summary").click()
    if width > 900:
        await expect(visitor["log-it"].locator("small")).to_be_in_viewport(ratio=1)
