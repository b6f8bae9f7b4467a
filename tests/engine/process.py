"""Scope: an engine in its own process, and somebody who listens to what it speaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np

from realtime.engine.client import EngineProcess
from realtime.engine.messages import Audio, EngineConfig, Event
from realtime.request import Ended, Speak
from tests.engine.harness import GREEDY, SMART

TEXT = "Good evening, this is the harbour office speaking."
PATIENCE_S = 120.0
"""A bound for what should never be reached, on the busiest of machines."""


class Listener:
    """A request's events; complains about anything after the end."""

    def __init__(self) -> None:
        self.pcm: list[np.ndarray] = []
        self.ended: list[Ended] = []
        self.done = asyncio.Event()
        self.heard = asyncio.Event()

    def __call__(self, event: Event) -> None:
        assert not self.ended, f"after the end: {event}"
        if isinstance(event, Audio):
            self.pcm.append(np.frombuffer(event.pcm, dtype="<i2"))
            self.heard.set()
        else:
            self.ended.append(event)
            self.done.set()

    async def end(self) -> Ended:
        await asyncio.wait_for(self.done.wait(), PATIENCE_S)
        return self.ended[0]


def speak(engine: Any, request_id: str, **more: Any) -> Listener:
    listener = Listener()
    settings: dict[str, Any] = {"text": TEXT, "sampling": GREEDY, "max_frames": 12, **more}
    engine.submit(Speak(request_id, voicing=SMART, **settings), listener)
    return listener


@asynccontextmanager
async def running(config: EngineConfig) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(config)
    task = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
