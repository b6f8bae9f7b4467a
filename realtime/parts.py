"""Names the parts of a server that others may give: brain, translator, hearing, engine, and further ways in."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from starlette.websockets import WebSocket

from realtime.access.rules import Rule
from realtime.agent.brain import Brain, Reader
from realtime.agent.chat.tools import Tools
from realtime.agent.rules.brain import RuleBrain
from realtime.config import Config, ConfigError
from realtime.engine.client import EngineClient
from realtime.hearing.listening import Hearing
from realtime.hearing.process import HearingProcess
from realtime.recognition.choice import NONE, recogniser_of
from realtime.recognition.recogniser import NoRecogniser, Recogniser
from realtime.recognition.weights import AUTO
from realtime.shell.sessions import Sessions
from realtime.translation.translator import PhraseTranslator, Translator


class Listener(Protocol):
    """Lets sessions in by other ways than HTTP, such as a TCP or a UDP port."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Take sessions in for as long as the context is entered. It is left only when the last session is over."""

    def drain(self) -> None:
        """Take no more sessions in, and let those under way finish what they say. `Sessions.cut` ends what is left."""


@dataclass(frozen=True)
class ExtraWire:
    """Adds a WebSocket route of somebody else's.

    `rule` is its row in the table of routes. `connect` serves one connection to its end; it asks `Sessions` for a place
    first.
    """

    rule: Rule
    connect: Callable[[WebSocket, Sessions, Brain], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """Holds what a server is put together from.

    `brain` decides what to say, `translator` serves translation sessions, `hearing` tells speech from silence,
    `recogniser` understands what was said. `engine` speaks; None starts one in a process of its own, as the
    configuration says. `wires` are further WebSocket routes. `listeners` make further ways in.
    """

    brain: Brain = field(default_factory=Reader)
    translator: Translator = field(default_factory=PhraseTranslator)
    hearing: Hearing = field(default_factory=HearingProcess)
    recogniser: Recogniser = field(default_factory=lambda: NoRecogniser("No recogniser was given to this server."))
    engine: EngineClient | None = None
    wires: Sequence[ExtraWire] = ()
    listeners: Sequence[Callable[[Sessions, Brain], Listener]] = ()


def parts_of(config: Config) -> Parts:
    """Make the parts that the settings name. Raises ConfigError for one that cannot be made."""
    named: dict[str, Any] = {"brain": _brain(config)}
    if config.translator:
        named["translator"] = _made("translator", config.translator)
    named["recogniser"] = _recogniser(config)
    return Parts(**named)


def _brain(config: Config) -> Brain:
    """Make the brain that the settings name: one of ours, or somebody else's. Raises ConfigError."""
    match config.brain or ("chat" if config.brain_url else "read"):
        case "read":
            return Reader()
        case "rules":
            return RuleBrain()
        case "chat":
            return _chat_brain(config)
    brain: Brain = _made("brain", config.brain)
    return brain


def _chat_brain(config: Config) -> Brain:
    """Make the brain over a chat endpoint. Raises ConfigError without its address."""
    from realtime.agent.chat.brain import ChatBrain  # here: an HTTP client that only this brain needs
    from realtime.agent.chat.endpoint import Endpoint, Patience
    from realtime.agent.chat.tools import Filler

    if not config.brain_url:
        raise ConfigError("brain is 'chat' and brain_url is empty; set it, such as to http://127.0.0.1:11434/v1.")
    patience = Patience(first_s=config.brain_timeout_s)
    endpoint = Endpoint(config.brain_url, config.brain_model, config.brain_key, patience, config.brain_max_tokens)
    return ChatBrain(
        endpoint,
        config.brain_instructions,
        config.brain_apology,
        config.brain_context_chars,
        _mcp_servers(config.mcp_servers) if config.mcp_servers else None,
        Filler(config.brain_filler, config.brain_filler_s),
    )


def _mcp_servers(addresses: Sequence[str]) -> Tools:
    """Make the tools of MCP servers. Raises ConfigError where they cannot be used."""
    try:
        from realtime.agent.mcp_servers import McpServers  # here: a library that few install
    except ImportError:
        raise ConfigError("mcp_servers needs the mcp package; install voiced-server[mcp].") from None
    try:
        return McpServers(addresses)
    except ValueError as error:
        raise ConfigError(f"mcp_servers has a command that cannot be read ({error}).") from None


_NO_FACTORY = re.compile(r"https?://|[./~]|[A-Za-z]:[\\/]")
"""What a name of a recogniser begins with that is a URL or a path."""


def _recogniser(config: Config) -> Recogniser:
    """The recogniser that the settings ask for: somebody's own by its name, otherwise one of ours."""
    name = config.recogniser
    own = ":" in name and not _NO_FACTORY.match(name)
    if own or name in {entry.name for entry in entry_points(group="voiced.recognisers")}:
        return cast(Recogniser, _made("recogniser", name))
    if name not in (AUTO, NONE, "") and not _NO_FACTORY.match(name) and "/" not in name and not os.path.isdir(name):
        raise ConfigError(
            f"recogniser is {name!r}: it is no folder here and no entry point of voiced.recognisers; give auto, none, "
            "a folder, a hub id (OWNER/NAME), a URL or module:factory."
        )
    try:
        return recogniser_of(name, config.recogniser_model, config.recogniser_key)
    except ValueError as error:
        raise ConfigError(f"recogniser: {error}; give a URL like https://api.example/v1.") from None


def _made(setting: str, name: str) -> Any:
    """Make the part that a setting names.

    The name is `module:factory`, where the module may lie in the working directory, or that of an installed entry
    point.
    """
    installed = {entry.name: entry for entry in entry_points(group=f"voiced.{setting}s")}
    if ":" not in name and name not in installed:
        raise ConfigError(
            f"{setting} is {name!r}: no installed package offers it under voiced.{setting}s (there are: "
            f"{', '.join(sorted(installed)) or 'none'}); name one of those, or give module:factory."
        )
    try:
        if ":" in name:
            if (here := os.getcwd()) not in sys.path:
                sys.path.insert(0, here)  # for a command, Python puts the command's folder there
            module, _, attribute = name.partition(":")
            factory = getattr(import_module(module), attribute)
        else:
            factory = installed[name].load()
        return factory()
    except Exception as error:  # whatever a part of somebody else's raises while it is made
        raise ConfigError(f"{setting} {name!r} cannot be made ({type(error).__name__}: {error}).") from error
