"""Scope: an engine and a server that are killed: the page says so soon, and no longer than it is so."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import expect

from realtime.commands.serve import running
from realtime.config import Config
from tests.browser.conftest import Visit
from tests.serving.asking import ask
from tests.serving.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "The train leaves at nine, and the next one leaves at ten."


async def test_that_the_engine_is_started_again_is_said_until_it_is_there(
    visit: Visit, noise_checkpoint: Callable[[int], Path]
) -> None:
    async with running(Config(port=0, model=str(noise_checkpoint(1)), device="cpu", threads=1)) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 120)
        visitor = await visit(f"http://{Service(gateway, url).address}/", microphone=False)
        await visitor["type-text"].fill(SENTENCE)
        await visitor["type-text"].press("Enter")
        await visitor.event("output_audio_buffer.started")
        assert gateway.engine.pid is not None
        os.kill(gateway.engine.pid, signal.SIGKILL)
        await expect(visitor["notice-text"]).to_contain_text("it is being started again")
        await expect(visitor["engine-badge"]).to_have_text("engine loading")
        await asyncio.wait_for(gateway.engine.wait_ready(), 120)
        await expect(visitor["notice"]).to_be_hidden()
        await expect(visitor["engine-badge"]).to_contain_text("noise")
        await visitor.page.close()


@contextlib.asynccontextmanager
async def serving(model: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`voiced serve` as a process of its own, once its engine speaks, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "realtime.commands.cli", "serve", "--port", address.rpartition(":")[2]]
    environment = {**os.environ, "VOICED_MODEL": str(model), "VOICED_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.DEVNULL)
    try:
        await eventually_ready(address)
        yield process, address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def eventually_ready(address: str) -> None:
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(OSError):
                if (await ask(address, "GET", "/readyz")).status == 200:
                    return
            await asyncio.sleep(0.2)


async def test_that_the_server_was_killed_is_noticed_in_seconds(
    visit: Visit, noise_checkpoint: Callable[[int], Path]
) -> None:
    async with serving(noise_checkpoint(1)) as (process, address):
        visitor = await visit(f"http://{address}/", microphone=False)
        await visitor["connect"].click()
        await expect(visitor["transport"]).to_have_text("over WebRTC")
        await visitor.page.wait_for_timeout(1_500)
        await expect(visitor["state"]).to_have_text("connected")
        process.kill()
        await expect(visitor["state"]).to_have_attribute("data-state", "reconnecting", timeout=6_000)
        await expect(visitor["notice-text"]).to_contain_text(re.compile("broke|does not answer"))
        await visitor.page.close()
