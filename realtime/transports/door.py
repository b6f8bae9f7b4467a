"""What every connection passes before its session begins, whatever protocol it speaks: the engine is ready and there is
room; then it counts until it ends."""

from __future__ import annotations

from collections.abc import Callable

from starlette.websockets import WebSocket

from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineInfo
from realtime.session.desk import Limits
from realtime.session.settings import Runtime
from realtime.transports.call import Call
from realtime.transports.http import refusal

_NOT_READY_RETRY_S = 2
_FULL_RETRY_S = 5


class Door:
    """`calls` holds all sessions of the server, at most `max_sessions`."""

    def __init__(
        self,
        engine: EngineProcess,
        runtime: Callable[[EngineInfo], Runtime],
        limits: Limits,
        calls: set[Call],
        max_sessions: int,
    ) -> None:
        self.engine = engine
        self.limits = limits
        self._runtime = runtime
        self._calls = calls
        self._max_sessions = max_sessions

    async def admit(self, websocket: WebSocket) -> Runtime | None:
        """What runs, for a session that may begin; otherwise the handshake is answered with the reason."""
        info = self.engine.info
        if info is None:
            message = f"The engine is not ready ({self.engine.stage}); try again shortly."
            await websocket.send_denial_response(refusal(503, "engine_not_ready", message, _NOT_READY_RETRY_S))
            return None
        if len(self._calls) >= self._max_sessions:
            message = f"All {self._max_sessions} connections are in use; try again later."
            await websocket.send_denial_response(refusal(503, "too_many_sessions", message, _FULL_RETRY_S))
            return None
        return self._runtime(info)

    async def run(self, call: Call) -> None:
        """A session, to its end."""
        self._calls.add(call)
        try:
            await call.run()
        finally:
            self._calls.discard(call)
