"""What every connection passes before its session begins, whatever protocol it speaks: the engine is ready and there is
room; then it counts until it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from starlette.websockets import WebSocket

from protocol.errors import Refused
from protocol.objects import SessionConfig
from realtime.agent.brain import Brain
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineInfo
from realtime.hearing.detector import Detectors
from realtime.http.replies import reply_to
from realtime.http.routes.status import ready
from realtime.metrics.registry import Metrics
from realtime.metrics.session_meters import Transport
from realtime.session.settings import Runtime
from realtime.session.shared import Limits
from realtime.shell.player import Player
from realtime.shell.shell import Shell, Wire
from realtime.shell.waiting_line import WaitingLine

_FULL_RETRY_S = 5


class Place:
    """Room for one session, among the `expected` ones until it is given back: when the session begins, or will not."""

    def __init__(self, expected: set[Place]) -> None:
        self._expected = expected
        expected.add(self)

    def give_back(self) -> None:
        """May be called twice."""
        self._expected.discard(self)


class Door:
    """`calls` holds all sessions of the server, at most `max_sessions`."""

    def __init__(
        self,
        engine: EngineProcess,
        runtime: Callable[[EngineInfo], Runtime],
        limits: Limits,
        detectors: Detectors,
        metrics: Metrics,
        calls: set[Shell],
        max_sessions: int,
    ) -> None:
        self.engine = engine
        self.limits = limits
        self.detectors = detectors
        self.metrics = metrics
        self._runtime = runtime
        self._calls = calls
        self._max_sessions = max_sessions
        self._expected: set[Place] = set()
        self._sink = WaitingLine()

    def expect(self) -> Place:
        """Keep room for a session that begins later, until the place is given back."""
        return Place(self._expected)

    def check(self, ticket: str | None = None) -> Runtime:
        """What runs, for a session that may begin. `ticket` keeps its place in the line. Raises Refused."""
        if self.engine.info is None:
            self.metrics.refused("engine_not_ready")
        runtime = self._runtime(ready(self.engine))
        free = self._max_sessions - len(self._calls) - len(self._expected)
        if (place := self._sink.place(ticket, free, time.monotonic())) is not None:
            self.metrics.refused("too_many_sessions")
            message = f"No session is free ({self._max_sessions} in all); you are number {place} in line."
            raise Refused("too_many_sessions", message, retry_after_s=_FULL_RETRY_S)
        return runtime

    async def admit(self, websocket: WebSocket) -> Runtime | None:
        """What runs, for a session that may begin; otherwise the handshake is answered with the reason."""
        try:
            return self.check(websocket.query_params.get("ticket"))
        except Refused as refused:
            await websocket.send_denial_response(reply_to(refused))
            return None

    def call(
        self,
        wire: Wire,
        brain: Brain,
        runtime: Runtime,
        transport: Transport,
        drain: asyncio.Event,
        initial: Sequence[SessionConfig] = (),
        player: Player | None = None,
    ) -> Shell:
        """A conversation that begins, on `wire` or played by `player`."""
        watch = self.metrics.watch(transport, runtime.sample_rate)
        return Shell(wire, self.engine, brain, runtime, self.limits, watch, drain, initial, self.detectors, player)

    async def run(self, call: Shell) -> None:
        """A session, to its end."""
        self._calls.add(call)
        try:
            await call.run()
        finally:
            self._calls.discard(call)
