"""The composition root: settings in, a running service out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from realtime.agent.brain import Brain, Reader
from realtime.checkpoints import shipped_voices
from realtime.config import Config
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineConfig, EngineInfo, VoiceFile
from realtime.session.session import Limits
from realtime.session.settings import Runtime, Voice
from realtime.transports.call import Call
from realtime.transports.http import healthz, readyz, refusal
from realtime.transports.link import PING_INTERVAL_S, PING_TIMEOUT_S, Link
from realtime.transports.websocket import MAX_MESSAGE_BYTES, WebSocketWire, pick_encoding
from realtime.voices import RegisteredVoice, read_voices


class Gateway:
    """What all connections share."""

    def __init__(self, config: Config) -> None:
        self.config = config
        folder = _voices_folder(config)
        self.voices = read_voices(folder) if folder is not None else []
        self.engine = EngineProcess(_engine_config(config, self.voices))
        self.brain: Brain = Reader()
        self.limits = Limits()
        self.calls: set[Call] = set()

    def runtime(self, info: EngineInfo) -> Runtime:
        """What a session is told of the engine."""
        voices = {voice.name: Voice(voice.name, "clip", voice.transcript) for voice in self.voices}
        voices |= {name: Voice(name, "scene", line) for name, line in info.scene_voices.items()}
        return Runtime(
            checkpoint=info.checkpoint,
            kind=info.kind,
            device=info.device,
            decoder=info.decoder,
            sample_rate=info.sample_rate,
            max_clause_chars=info.max_clause_chars,
            voices=voices,
            default_voice=info.default_voice,
        )

    async def realtime(self, websocket: WebSocket) -> None:
        """`/v1/realtime`."""
        info = self.engine.info
        if not self._origin_allowed(websocket):
            await websocket.send_denial_response(
                refusal(403, "origin_not_allowed", "This page may not connect; add its origin to allowed_origins.")
            )
            return
        if info is None:
            message = f"The engine is not ready ({self.engine.stage}); try again shortly."
            await websocket.send_denial_response(refusal(503, "engine_not_ready", message, 2))
            return
        if len(self.calls) >= self.config.max_sessions:
            message = f"All {self.config.max_sessions} connections are in use; try again later."
            await websocket.send_denial_response(refusal(503, "too_many_sessions", message, 5))
            return
        encoding, subprotocol = pick_encoding(websocket.scope["subprotocols"])
        await websocket.accept(subprotocol)
        wire = WebSocketWire(websocket, encoding)
        drain = wire.link.drain if wire.link is not None else asyncio.Event()
        call = Call(wire, self.engine, self.brain, self.runtime(info), self.limits, drain)
        self.calls.add(call)
        try:
            await call.run()
        finally:
            self.calls.discard(call)

    def _origin_allowed(self, websocket: WebSocket) -> bool:
        """Programs send no Origin; a browser's must be this server's own or one of the allowed."""
        origin = websocket.headers.get("origin")
        if origin is None or origin in self.config.allowed_origins:
            return True
        return urlsplit(origin).netloc == websocket.headers.get("host")


def create_app(config: Config) -> Starlette:
    """The ASGI application; its lifespan keeps the engine running."""
    gateway = Gateway(config)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        engine = asyncio.create_task(gateway.engine.run())
        try:
            yield
        finally:
            engine.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await engine

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            WebSocketRoute("/v1/realtime", gateway.realtime),
        ],
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    return app


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever runs it decides when it stops, by `should_exit`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def create_server(app: Starlette, config: Config) -> Server:
    """The server with our connection class: own pings, no compression, bounded messages, a drain on shutdown."""
    return Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            ws=Link,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_TIMEOUT_S,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=max(1, round(config.drain_s)),
            log_level=config.log_level if config.log_level != "info" else "warning",
            access_log=config.log_level == "debug",
            server_header=False,
        )
    )


def _voices_folder(config: Config) -> Path | None:
    """The folder asked for, or the one that ships with the built-in checkpoint."""
    if config.voices:
        return Path(config.voices).expanduser()
    return None if config.model else shipped_voices()


def _engine_config(config: Config, voices: list[RegisteredVoice]) -> EngineConfig:
    return EngineConfig(
        model=config.model,
        codec=config.codec or None,
        device=config.device,
        dtype=config.dtype,
        decoder=config.decoder,
        look_ahead=config.look_ahead,
        slots=config.slots,
        kv_positions=config.kv_positions,
        prefill_positions=config.prefill_positions,
        max_lead_s=config.max_lead_s,
        max_clause_s=config.max_clause_s,
        threads=config.threads,
        front_end=config.front_end,
        voices=[VoiceFile(voice.name, str(voice.clip)) for voice in voices],
    )
