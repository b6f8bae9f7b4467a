"""Scope: one Chromium and one server on the built-in checkpoint for all tests here; a fresh context for each visitor."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from realtime.config import Config
from realtime.serve import running
from tests.browser.visitor import EARS, PATIENCE_MS, Visitor, say_into
from tests.interop.engine_tap import EngineTap
from tests.server.wire import Service, eventually, idle

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]

Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
def microphone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Chromium's microphone hears; it is read anew each time the microphone is opened."""
    return tmp_path_factory.mktemp("microphone") / "says.wav"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(microphone_file: Path) -> AsyncIterator[Browser]:
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone_file}%noloop"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service() -> AsyncIterator[Service]:
    config = Config(port=0, device="cpu", threads=1, slots=4)
    async with running(config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 120)
        yield Service(gateway, url)


@pytest_asyncio.fixture(loop_scope="session")
async def resting(service: Service) -> AsyncIterator[Service]:
    """The service; what a test's visitors used must be given back by the time it ends."""
    yield service
    await eventually(lambda: idle(service.gateway), "no call, request or page in use", 10.0)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(resting: Service, chromium: Browser, microphone_file: Path) -> AsyncIterator[Visit]:
    """Opens a page for a new visitor: the service's own, or any `url`. All leave at the end, before `resting` looks."""
    async with contextlib.AsyncExitStack() as leaving:

        async def arrive(
            url: str = "", *, microphone: bool = True, width: int = 1280, height: int = 900, colours: str = "light"
        ) -> Visitor:
            context = await chromium.new_context(
                viewport={"width": width, "height": height},
                color_scheme=colours,  # type: ignore[arg-type]
                permissions=["microphone"] if microphone else [],
            )
            leaving.push_async_callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            await context.add_init_script(path=EARS)
            say_into(microphone_file, bytes(96000), 48000)
            visitor = Visitor(context, await context.new_page(), microphone_file)
            await visitor.page.goto(url or f"http://{resting.address}/")
            return visitor

        yield arrive


@pytest.fixture(scope="session")
def tap(service: Service) -> EngineTap:
    """The engine's own samples of all that is said here."""
    return EngineTap(service.gateway.engine)
