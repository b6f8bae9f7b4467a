"""Serves the routes that tell whether the server is alive, whether it is ready, and what runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from protocol.errors import Refused
from realtime.engine.client import EngineClient
from realtime.engine.messages import EngineInfo
from realtime.http.access_middleware import grant_of
from realtime.http.replies import Json
from realtime.recognition.recogniser import Recogniser
from realtime.shell.sessions import ready

_RETRY_S = 2
_NOT_TOLD = ("markers", "max_scene_chars")


class _Model(msgspec.Struct, frozen=True):
    id: str
    created: int
    object: str = "model"
    owned_by: str = "voiced"


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model]
    object: str = "list"


class _Recogniser(msgspec.Struct, frozen=True):
    """Who understands speech; `error` says why nobody does, in one sentence."""

    name: str
    languages: tuple[str, ...]
    error: str


class StatusRoutes:
    """Tells whether the server is alive, whether it is ready, and what runs."""

    def __init__(self, engine: EngineClient, recogniser: Recogniser, sessions: Callable[[], int]) -> None:
        self._engine = engine
        self._recogniser = recogniser
        self._sessions = sessions
        self._began = int(time.time())

    async def healthz(self, request: Request) -> Response:
        """Answer 200 while the gateway runs, whatever the engine does."""
        return Json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Answer 200 once speech can be asked for, and 503 with the loading stage before.

        What runs, and why it does not, is told to clients that may use the server. Without a key where keys are asked
        for, there is only the status.
        """
        engine, told = self._engine, grant_of(request).operator
        if engine.info is None:
            body = {"status": engine.stage, "error": engine.error} if told else {"status": "not ready"}
            return Json(body, status_code=503, headers={"Retry-After": str(_RETRY_S)})
        if not told:
            return Json({"status": "ready"})
        return Json(
            {
                "status": "ready",
                "engine": _told(engine.info),
                "recogniser": _Recogniser(self._recogniser.name, self._recogniser.languages, self._recogniser.why),
                "gauges": engine.gauges,
                "sessions": self._sessions(),
                "restarts": engine.restarts,
            }
        )

    async def models(self, request: Request) -> Response:
        """Answer with the checkpoint that runs, as a list of one. Requests may name any model: this one answers."""
        return Json(_Models([self._model()]))

    async def model(self, request: Request) -> Response:
        """Answer with the checkpoint that runs, by its name. Raises Refused for any other name."""
        model, asked = self._model(), str(request.path_params["id"])
        if asked != model.id:
            message = f"There is no model {asked[:100]!r}; {model.id!r} runs here, whichever a request names."
            raise Refused("model_not_found", message, "model")
        return Json(model)

    def _model(self) -> _Model:
        return _Model(ready(self._engine).checkpoint, self._began)


def _told(info: EngineInfo) -> dict[str, Any]:
    """Return what runs, without the fields that serve only our own checks of texts."""
    told: dict[str, Any] = msgspec.to_builtins(info)
    return {name: value for name, value in told.items() if name not in _NOT_TOLD}
