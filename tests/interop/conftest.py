"""Scope: one server on the built-in checkpoint for all clients, asking for a key; each client runs once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from realtime.commands.serve import running
from realtime.config import Config
from tests.interop.engine_tap import EngineTap
from tests.interop.environment import Clients, clients
from tests.interop.suite import KEY, Suite
from tests.serving.wire import eventually, idle


@pytest.fixture(scope="session")
def client_environment() -> Clients:
    """The clients; made now if `make` did not."""
    return clients()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def suite(client_environment: Clients, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    config = Config(port=0, device="cpu", threads=1, slots=8, api_keys=[KEY])
    async with running(config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 120)
        port = int(url.removeprefix("ws://").partition("/")[0].rpartition(":")[2])
        folder: Path = tmp_path_factory.mktemp("clients")
        yield Suite(gateway, port, client_environment, EngineTap(gateway.engine), folder)


@pytest_asyncio.fixture(loop_scope="session")
async def resting(suite: Suite) -> AsyncIterator[Suite]:
    """The suite; what a test's clients used must be given back by the time it ends."""
    yield suite
    await eventually(lambda: idle(suite.gateway), "no session, request or page in use", 10.0)
