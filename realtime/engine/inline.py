"""Steps an engine inside the event loop, with the same promises as the process: for tests and tools."""

from __future__ import annotations

import asyncio
import contextlib
import time

from realtime.engine.client import LOST, Router, Sink
from realtime.engine.engine import Engine
from realtime.engine.messages import Cancel, DropContext, EngineInfo, Hold, Inbound
from realtime.engine.worker import apply
from realtime.request import Speak


class InlineEngine:
    """Steps an engine inside the event loop. Run `run` in a task."""

    def __init__(self, engine: Engine, info: EngineInfo) -> None:
        self._engine = engine
        self._router = Router()
        self._wake = asyncio.Event()
        self.info: EngineInfo | None = info
        self.stage = "ready"
        self.error: str | None = None
        self.restarts = 0
        self.pid: int | None = None
        self.gauges = engine.gauges()

    async def run(self) -> None:
        """Step while there is something to do, until cancelled."""
        try:
            while True:
                self._wake.clear()
                wake_at = self._engine.wake_at(time.monotonic())
                if wake_at is None or wake_at > time.monotonic():
                    wait = None if wake_at is None else wake_at - time.monotonic()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), wait)
                output = self._engine.step(time.monotonic())
                self.gauges = output.gauges
                for event in output.events:
                    if not self._router.deliver(event):
                        self.cancel(event.request_id)
                await asyncio.sleep(0)
        finally:
            self._router.fail_all(LOST)
            self._engine.close()

    def submit(self, request: Speak, sink: Sink) -> None:
        self._router.open(request.request_id, sink)
        self._tell(request)

    def cancel(self, request_id: str) -> None:
        self._tell(Cancel(request_id))

    def hold(self, request_id: str, held: bool) -> None:
        self._tell(Hold(request_id, held))

    def drop_context(self, context_id: str) -> None:
        self._tell(DropContext(context_id))

    def _tell(self, message: Inbound) -> None:
        apply(self._engine, message, time.monotonic())
        self._wake.set()
