"""Puts a server together from settings and parts. Every route here has its row in `realtime.access.rules`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from realtime.access.keys import ApiKeys, Secrets
from realtime.access.policy import Access, is_loopback
from realtime.access.quotas import Allowance, Quotas
from realtime.access.rules import RULES
from realtime.agent.brain import SessionBrains
from realtime.checkpoints import voices_folder
from realtime.config import Config, ConfigError
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineConfig, EngineInfo, VoiceClip
from realtime.http.access_middleware import AccessMiddleware
from realtime.http.connections import Connections
from realtime.http.descriptors import descriptors, most_connections
from realtime.http.replies import ERROR_HANDLERS
from realtime.http.routes.client_secrets import SecretRoutes
from realtime.http.routes.metrics import MetricsRoutes
from realtime.http.routes.page import asset, page
from realtime.http.routes.place import PlaceRoute
from realtime.http.routes.status import StatusRoutes
from realtime.http.routes.transcriptions import TranscriptionRoute
from realtime.http.routes.voices import VoiceRoutes
from realtime.metrics.loop_lag import measure_lag
from realtime.metrics.registry import Metrics
from realtime.metrics.scraped import OpenSession
from realtime.parts import ExtraWire, Listener, Parts, parts_of
from realtime.rtc.peer import PeerConfig
from realtime.session.settings import Runtime
from realtime.session.shared import Limits
from realtime.shell.sessions import Sessions
from realtime.transports.cartesia import CartesiaRoutes
from realtime.transports.speech_file import SpeechFileRoute
from realtime.transports.translations import TranslationRoutes
from realtime.transports.webrtc.routes import CallRoutes
from realtime.transports.websocket import RealtimeRoutes
from realtime.voices.catalogue import Catalogue
from realtime.voices.files import read_voices


class Application:
    """Holds one server, put together: `asgi` serves it, and its lifespan keeps the engine running.

    `engine`, `sessions`, `metrics`, `access` and `catalogue` are what it is made of, for whoever runs it.
    """

    def __init__(self, config: Config, parts: Parts | None = None) -> None:
        """Put the parts together. Parts that are not given are made as `config` says. Raises ConfigError and
        VoiceError.
        """
        self.config = config
        self.parts = parts if parts is not None else parts_of(config)
        folder = voices_folder(config.voices, config.model)
        self.catalogue = Catalogue(
            read_voices(folder) if folder is not None else [],
            Path(config.uploads).expanduser() if config.uploads else None,
            config.max_voices,
        )
        self.access = _access(config, self.parts)
        self.engine = self.parts.engine or EngineProcess(_engine_config(config, self.catalogue.clips()))
        self.metrics = Metrics(self.engine, lambda: [OpenSession(one.transport, one.unsent) for one in self.sessions])
        most = most_connections(descriptors(), config.max_sessions)
        self.connections = Connections(most, self.metrics.connection_dropped)
        self.metrics.show_connections(lambda: len(self.connections), most)
        self.sessions = Sessions(
            self.engine,
            self.runtime,
            Limits(),
            self.parts.hearing,
            self.metrics,
            config.max_sessions,
            Quotas(_allowance(config)),
            self.parts.recogniser,
        )
        self._calls = CallRoutes(self.sessions, self.parts.brain, peer_config(config))
        others = [listener(self.sessions, self.parts.brain) for listener in self.parts.listeners]
        self._listeners: list[Listener] = [self._calls, *others]
        self.asgi = Starlette(
            routes=self._routes(),
            middleware=[Middleware(AccessMiddleware, access=self.access)],
            exception_handlers=ERROR_HANDLERS,
            lifespan=self._lifespan,
        )

    @property
    def _answers_turns(self) -> bool:
        """Whether the brain understands what is said in a turn, itself or by the words that somebody recognises."""
        return self.parts.brain.answers_turns and (not self._needs_transcripts or bool(self.parts.recogniser.name))

    @property
    def _needs_transcripts(self) -> bool:
        """Whether the brain reads what is said; one that says nothing of it listens for itself."""
        return getattr(self.parts.brain, "needs_transcripts", False)

    def runtime(self, info: EngineInfo) -> Runtime:
        """Describe to a session what runs behind it."""
        return Runtime(
            checkpoint=info.checkpoint,
            kind=info.kind,
            device=info.device,
            decoder=info.decoder,
            sample_rate=info.sample_rate,
            max_clause_chars=info.max_clause_chars,
            max_scene_chars=info.max_scene_chars,
            voices=self.catalogue.voices(info),
            default_voice=info.default_voice,
            hears=self.parts.hearing.name,
            recogniser=self.parts.recogniser.name,
            answers_turns=self._answers_turns,
            needs_transcripts=self._needs_transcripts,
            max_lead_s=self.config.max_lead_s,
        )

    def drain(self) -> None:
        """Begin to stop.

        Listeners let nothing new in. Sessions finish what they say; after `drain_s` seconds those that are left are
        cut.
        """
        for listener in self._listeners:
            listener.drain()
        asyncio.get_running_loop().call_later(self.config.drain_s, self.cut)

    def cut(self) -> None:
        """End all sessions now, each with a word to its client."""
        self.sessions.cut()

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        hearing, recogniser = self.parts.hearing, self.parts.recogniser
        running = (self.engine.run(), hearing.run(), recogniser.run(), measure_lag(self.metrics.lagged))
        beside = [asyncio.create_task(task) for task in running]
        try:
            await hearing.named()  # a session tells its client at once who listens
            await recogniser.ready()
            async with contextlib.AsyncExitStack() as listening:
                for listener in self._listeners:
                    await listening.enter_async_context(listener.running())
                yield
        finally:
            for task in beside:
                task.cancel()
            for task in beside:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            if isinstance(self.parts.brain, SessionBrains):
                await self.parts.brain.close()

    def _routes(self) -> list[BaseRoute]:
        sessions, calls, brain = self.sessions, self._calls, self.parts.brain
        recogniser = self.parts.recogniser
        status = StatusRoutes(self.engine, recogniser, lambda: len(sessions))
        minting = SecretRoutes(self.access.secrets, sessions.runtime)
        voices = VoiceRoutes(self.catalogue, self.engine)
        return [
            Route("/", page),
            Route("/browser/{name}", asset),
            Route("/healthz", status.healthz),
            Route("/readyz", status.readyz),
            Route("/metrics", MetricsRoutes(self.metrics.registry).show),
            Route("/v1/models", status.models),
            Route("/v1/models/{id:path}", status.model),
            WebSocketRoute("/v1/realtime", RealtimeRoutes(sessions, brain, calls).connect),
            Route("/v1/realtime/calls", calls.create, methods=["POST"]),
            Route("/v1/realtime/calls/{id}/hangup", calls.hang_up, methods=["POST"]),
            Route("/v1/realtime/place", PlaceRoute(sessions.ask).show),
            Route("/v1/realtime/client_secrets", minting.realtime, methods=["POST"]),
            WebSocketRoute("/v1/realtime/translations", TranslationRoutes(sessions, self.parts.translator).connect),
            Route("/v1/realtime/translations/client_secrets", minting.translation, methods=["POST"]),
            WebSocketRoute("/tts/websocket", CartesiaRoutes(sessions).connect),
            Route("/v1/audio/speech", SpeechFileRoute(sessions), methods=["POST"]),
            Route("/v1/audio/transcriptions", TranscriptionRoute(recogniser), methods=["POST"]),
            Route("/v1/audio/translations", TranscriptionRoute(recogniser, translate=True), methods=["POST"]),
            Route("/v1/audio/voices", voices.list),
            Route("/v1/audio/voices", voices.create, methods=["POST"]),
            Route("/v1/audio/voices/{id}", voices.show),
            Route("/v1/audio/voices/{id}", voices.delete, methods=["DELETE"]),
            *(WebSocketRoute(wire.rule.path, self._connecting(wire)) for wire in self.parts.wires),
        ]

    def _connecting(self, wire: ExtraWire) -> Callable[[WebSocket], Awaitable[None]]:
        @functools.wraps(wire.connect)
        async def connect(websocket: WebSocket) -> None:
            await wire.connect(websocket, self.sessions, self.parts.brain)

        return connect


def create_app(config: Config, parts: Parts | None = None) -> Application:
    """Put a server together from settings. `parts` stand in for those that the settings would name.

    Raises ConfigError and VoiceError.
    """
    return Application(config, parts)


def _access(config: Config, parts: Parts) -> Access:
    try:
        keys = ApiKeys(config.api_keys)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    minted = Secrets(lambda: secrets.token_urlsafe(32), shared=len(config.api_keys) > 1)
    rules = (*RULES, *(wire.rule for wire in parts.wires))
    return Access(keys, minted, config.allowed_origins, loopback=is_loopback(config.host), rules=rules)


def _allowance(config: Config) -> Allowance:
    return Allowance(
        sessions=config.key_sessions,
        responses=config.key_responses,
        offers=config.key_offers,
        speech_s=config.key_speech_s,
    )


def peer_config(config: Config) -> PeerConfig:
    """Return where WebRTC calls come in: where the server listens, unless the settings say otherwise.

    For a server on loopback these are all addresses of the machine, for callers on it: Firefox calls from no loopback
    address and to none.
    """
    told_otherwise = bool(config.rtc_addresses or config.stun_server or config.turn_server)
    return PeerConfig(
        addresses=tuple(config.rtc_addresses),
        only_here=is_loopback(config.host) and not told_otherwise,
        stun=config.stun_server,
        turn=config.turn_server,
        turn_username=config.turn_username,
        turn_password=config.turn_password,
    )


def _engine_config(config: Config, voices: list[VoiceClip]) -> EngineConfig:
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
        voices=voices,
    )
