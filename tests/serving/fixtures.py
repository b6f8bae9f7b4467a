"""Scope: one server with a real engine process for all tests here, and a check that each gives everything back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from codec_stream.audio_file import write_wav
from realtime.commands.serve import running
from realtime.config import Config
from tests.serving.wire import RATE, Footprint, Service, assert_back_to, listens, noise_clip


@pytest.fixture(scope="session")
def voices_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two registered voices."""
    folder = tmp_path_factory.mktemp("voices")
    for seed, (name, words) in enumerate([("amy", "Amy says this."), ("bob", "Bob says that.")]):
        write_wav(folder / f"{name}.wav", noise_clip(seed), RATE)
        (folder / f"{name}.txt").write_text(words)
    return folder


@pytest.fixture(scope="session")
def server_config(noise_checkpoint: Callable[[int], Path], voices_folder: Path) -> Config:
    return Config(
        port=0,
        model=str(noise_checkpoint(1)),
        device="cpu",
        threads=1,
        slots=8,
        voices=str(voices_folder),
        recogniser="none",
        max_sessions=9,
        allowed_origins=["https://friend.example"],
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(server_config: Config) -> AsyncIterator[Service]:
    async with running(server_config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        await listens(gateway)
        await asyncio.to_thread(lambda: None)  # the thread pool is there from now on
        yield Service(gateway, url)


@pytest_asyncio.fixture(loop_scope="session")
async def resting(service: Service) -> AsyncIterator[Service]:
    """The service, found with nothing in use and left the same way."""
    before = Footprint.now()
    yield service
    await assert_back_to(before, service.gateway)
