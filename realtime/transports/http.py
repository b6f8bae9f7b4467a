"""The plain HTTP side: is it alive, is it ready, and what runs."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from realtime.engine.client import EngineProcess


class _Json(Response):
    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


async def healthz(request: Request) -> Response:
    """200 while the gateway runs, whatever the engine does."""
    return _Json({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 with what runs once speech can be asked for; 503 with the loading stage before."""
    engine: EngineProcess = request.app.state.gateway.engine
    if engine.info is None:
        body = {"status": engine.stage, "error": engine.error}
        return _Json(body, status_code=503, headers={"Retry-After": "2"})
    return _Json(
        {
            "status": "ready",
            "engine": engine.info,
            "gauges": engine.gauges,
            "sessions": len(request.app.state.gateway.calls),
            "restarts": engine.restarts,
        }
    )


def refusal(status: int, code: str, message: str, retry_after_s: int | None = None) -> Response:
    """An error as HTTP, for handshakes that are refused."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    body = {"error": {"type": "server_error", "code": code, "message": message, "param": None}}
    return _Json(body, status_code=status, headers=headers)
