"""The composition root: settings in, the ASGI application out. Every route has its row in `realtime.access.rules`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute

from realtime.config import Config
from realtime.gateway import Gateway, peer_config
from realtime.http.access_middleware import AccessMiddleware
from realtime.http.replies import ERROR_HANDLERS
from realtime.http.routes.client_secrets import SecretRoutes
from realtime.http.routes.metrics import MetricsPage
from realtime.http.routes.page import asset, page
from realtime.http.routes.status import Status
from realtime.http.routes.voices import VoiceRoutes
from realtime.metrics.loop_lag import measure_lag
from realtime.shell.admission import Door
from realtime.translation.translator import PhraseTranslator
from realtime.transports.cartesia import CartesiaRoute
from realtime.transports.speech_file import Speech
from realtime.transports.translations import TranslationRoute
from realtime.transports.webrtc.routes import CallRoutes
from realtime.transports.websocket import RealtimeRoute


def create_app(config: Config) -> Starlette:
    """The application; its lifespan keeps the engine running. Raises ConfigError and VoiceError."""
    gateway = Gateway(config)
    door = Door(
        gateway.engine,
        gateway.runtime,
        gateway.limits,
        gateway.detectors,
        gateway.metrics,
        gateway.calls,
        config.max_sessions,
    )
    calls = CallRoutes(door, gateway.brain, peer_config(config))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        beside = [asyncio.create_task(gateway.engine.run()), asyncio.create_task(measure_lag(gateway.metrics.lagged))]
        try:
            async with calls.running():
                yield
        finally:
            for task in beside:
                task.cancel()
            for task in beside:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    app = Starlette(
        routes=_routes(gateway, door, calls),
        middleware=[Middleware(AccessMiddleware, access=gateway.access)],
        exception_handlers=ERROR_HANDLERS,
        lifespan=lifespan,
    )

    def drain() -> None:
        calls.drain()
        asyncio.get_running_loop().call_later(config.drain_s, gateway.cut)

    app.state.gateway, app.state.drain = gateway, drain
    return app


def _routes(gateway: Gateway, door: Door, calls: CallRoutes) -> list[BaseRoute]:
    status = Status(gateway.engine, lambda: len(gateway.calls))
    secrets = SecretRoutes(gateway.access.secrets, gateway.engine, gateway.runtime)
    voices = VoiceRoutes(gateway.catalogue, gateway.engine)
    most = gateway.config.max_sessions
    speech = Speech(gateway.engine, gateway.runtime, gateway.limits, gateway.metrics, gateway.calls, most)
    return [
        Route("/", page),
        Route("/browser/{name}", asset),
        Route("/healthz", status.healthz),
        Route("/readyz", status.readyz),
        Route("/metrics", MetricsPage(gateway.metrics.registry).show),
        Route("/v1/models", status.models),
        Route("/v1/models/{id:path}", status.model),
        WebSocketRoute("/v1/realtime", RealtimeRoute(door, gateway.brain, calls).connect),
        Route("/v1/realtime/calls", calls.create, methods=["POST"]),
        Route("/v1/realtime/calls/{id}/hangup", calls.hang_up, methods=["POST"]),
        Route("/v1/realtime/client_secrets", secrets.realtime, methods=["POST"]),
        WebSocketRoute("/v1/realtime/translations", TranslationRoute(door, PhraseTranslator()).connect),
        Route("/v1/realtime/translations/client_secrets", secrets.translation, methods=["POST"]),
        WebSocketRoute("/tts/websocket", CartesiaRoute(door).connect),
        Route("/v1/audio/speech", speech, methods=["POST"]),
        Route("/v1/audio/voices", voices.list),
        Route("/v1/audio/voices", voices.create, methods=["POST"]),
        Route("/v1/audio/voices/{id}", voices.show),
        Route("/v1/audio/voices/{id}", voices.delete, methods=["DELETE"]),
    ]
