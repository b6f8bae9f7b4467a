"""What all connections share."""

from __future__ import annotations

import secrets
from pathlib import Path

from realtime.access.keys import ApiKeys, Secrets
from realtime.access.policy import Access, is_loopback
from realtime.agent.brain import Brain, Reader
from realtime.checkpoints import voices_folder
from realtime.config import Config, ConfigError
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineConfig, EngineInfo, VoiceFile
from realtime.hearing.detector import Detectors
from realtime.http.connections import Connections
from realtime.http.descriptors import descriptors, most_connections
from realtime.metrics.registry import Metrics
from realtime.metrics.scraped import OpenSession
from realtime.rtc.peer import PeerConfig
from realtime.session.settings import Runtime
from realtime.session.shared import Limits
from realtime.shell.shell import Shell
from realtime.voices.catalogue import Catalogue
from realtime.voices.files import read_voices


class Gateway:
    """What all connections share."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError and VoiceError."""
        self.config = config
        self.access = _access(config)
        folder = voices_folder(config.voices, config.model)
        self.catalogue = Catalogue(
            read_voices(folder) if folder is not None else [],
            Path(config.uploads).expanduser() if config.uploads else None,
            config.max_voices,
        )
        self.engine = EngineProcess(_engine_config(config, self.catalogue.files))
        self.brain: Brain = Reader()
        self.limits = Limits()
        self.detectors = Detectors()
        self.calls: set[Shell] = set()
        self.metrics = Metrics(self.engine, lambda: [OpenSession(call.transport, call.waiting) for call in self.calls])
        most = most_connections(descriptors(), config.max_sessions)
        self.connections = Connections(most, self.metrics.connection_dropped)
        self.metrics.show_connections(lambda: len(self.connections), most)

    def cut(self) -> None:
        """End all sessions now; each is told."""
        for call in tuple(self.calls):
            call.cut()

    def runtime(self, info: EngineInfo) -> Runtime:
        """What a session is told of the engine."""
        return Runtime(
            checkpoint=info.checkpoint,
            kind=info.kind,
            device=info.device,
            decoder=info.decoder,
            sample_rate=info.sample_rate,
            max_clause_chars=info.max_clause_chars,
            voices=self.catalogue.voices(info),
            default_voice=info.default_voice,
            hears=self.detectors.name,
        )


def _access(config: Config) -> Access:
    try:
        keys = ApiKeys(config.api_keys)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    minted = Secrets(lambda: secrets.token_urlsafe(32))
    return Access(keys, minted, config.allowed_origins, loopback=is_loopback(config.host))


def peer_config(config: Config) -> PeerConfig:
    """Where WebRTC calls come in: where the server listens, unless told otherwise. For a server on loopback these are
    all addresses of the machine, for callers on it: Firefox calls from no loopback address and to none."""
    told_otherwise = bool(config.rtc_addresses or config.stun_server or config.turn_server)
    return PeerConfig(
        addresses=tuple(config.rtc_addresses),
        only_here=is_loopback(config.host) and not told_otherwise,
        stun=config.stun_server,
        turn=config.turn_server,
        turn_username=config.turn_username,
        turn_password=config.turn_password,
    )


def _engine_config(config: Config, voices: list[VoiceFile]) -> EngineConfig:
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
