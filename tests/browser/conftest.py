"""Scope: one Chromium for all tests here, two servers on the built-in checkpoint, a fresh context for each visitor."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from realtime.commands.serve import running
from realtime.config import Config
from tests.browser.elsewhere import web_server
from tests.browser.visitor import EARS, PATIENCE_MS, Visitor
from tests.interop.engine_tap import EngineTap
from tests.interop.environment import clients
from tests.serving.wire import Service, listens

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

KEY = "sk-browser-0123456789abcdef"

Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="package")
def microphone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Chromium's microphone hears; it is read anew each time the microphone is opened."""
    return tmp_path_factory.mktemp("microphone") / "says.wav"


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def chromium(microphone_file: Path) -> AsyncIterator[Browser]:
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone_file}%noloop"]
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        await browser.close()


@pytest.fixture(scope="package")
def unbroken() -> Iterator[None]:
    """What tests hold in memory is not looked through for garbage while somebody listens: that would be heard."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def service(unbroken: None) -> AsyncIterator[Service]:
    config = Config(port=0, device="cpu", threads=1, slots=4, recogniser="none")
    async with running(config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 120)
        await listens(gateway)
        yield Service(gateway, url)


@pytest.fixture(scope="package")
def elsewhere() -> Iterator[str]:
    """The origin of somebody else's page."""
    with web_server(clients()) as origin:
        yield origin


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def guarded(unbroken: None, elsewhere: str) -> AsyncIterator[Service]:
    """Another one, that wants a key, lets pages from elsewhere in, and has room for two."""
    config = Config(
        port=0,
        device="cpu",
        threads=1,
        slots=2,
        api_keys=[KEY],
        allowed_origins=[elsewhere],
        max_sessions=2,
        recogniser="none",
    )
    async with running(config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 120)
        yield Service(gateway, url)


@pytest.fixture(scope="package")
def tap(service: Service) -> EngineTap:
    """The engine's own samples of all that is said here."""
    return EngineTap(service.gateway.engine)


@pytest.fixture(scope="package")
def guarded_tap(guarded: Service) -> EngineTap:
    return EngineTap(guarded.gateway.engine)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(chromium: Browser, microphone_file: Path) -> AsyncIterator[Visit]:
    """Opens a page for a new visitor, who leaves at the end of the test."""
    async with contextlib.AsyncExitStack() as leaving:

        async def arrive(
            url: str,
            *,
            microphone: bool = True,
            width: int = 1280,
            height: int = 900,
            colours: Literal["light", "dark"] = "light",
            browser: Browser = chromium,
            script: str = "",
        ) -> Visitor:
            """`script` runs in the page before its own."""
            context = await browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=colours,
                permissions=["microphone"] if microphone else [],
            )
            leaving.push_async_callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            await context.add_init_script(path=EARS)
            await context.add_init_script(script)
            visitor = Visitor(context, await context.new_page(), microphone_file)
            visitor.will_say(b"", 48000)
            await visitor.page.goto(url)
            return visitor

        yield arrive
