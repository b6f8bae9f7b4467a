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
from realtime.transports.http import Refusal
from realtime.transports.status import ready

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

    def check(self, coming: int = 0) -> Runtime:
        """What runs, for a session that may begin while `coming` others are about to. Raises Refusal."""
        runtime = self._runtime(ready(self.engine))
        if len(self._calls) + coming >= self._max_sessions:
            message = f"All {self._max_sessions} connections are in use; try again later."
            raise Refusal(503, "too_many_sessions", message, retry_after_s=_FULL_RETRY_S)
        return runtime

    async def admit(self, websocket: WebSocket) -> Runtime | None:
        """What runs, for a session that may begin; otherwise the handshake is answered with the reason."""
        try:
            return self.check()
        except Refusal as refused:
            await websocket.send_denial_response(refused.response)
            return None

    async def run(self, call: Call) -> None:
        """A session, to its end."""
        self._calls.add(call)
        try:
            await call.run()
        finally:
            self._calls.discard(call)
