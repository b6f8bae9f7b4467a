"""Reads the service's settings from four sources: flag > environment (VOICED_…) > file (TOML) > default.

An unknown key is refused by name, with the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

ENV_PREFIX = "VOICED_"
_OTHER_ENV = {"VOICED_CONFIG", "VOICED_CACHE"}
_SERVICE_LINK = re.compile(
    r"VOICED_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
"""These two match the variables that Kubernetes sets in every pod beside a Service named voiced or voiced-…. They are
addresses and none of our settings."""
_SECRET = {"api_keys", "turn_password", "brain_key", "recogniser_key"}


class ConfigError(ValueError):
    """Says in one sentence which setting cannot be used, where it came from, and how to mend it."""


Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=4096)]
Origin = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://([^\[\]/?#@:\s]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$",
        examples=["https://shop.example", "http://127.0.0.1:3000"],
    ),
]
_ADDRESS = r"[^\[\]/?#@:\s]+(:[0-9]{1,5})?"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Holds all settings. The description of each is its help text."""

    host: Annotated[str, Meta(description="address to listen on; loopback unless you mean otherwise")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port to listen on; 0 picks a free one")] = 8080
    model: Annotated[str, Meta(description="checkpoint folder or hub id; empty: the built-in one")] = ""
    codec: Annotated[str, Meta(description="codec folder or hub id; empty: the one the checkpoint names")] = ""
    device: Annotated[
        str,
        Meta(
            pattern=r"^(auto|cpu|cuda(:[0-9]{1,2})?)$",
            description="auto, cpu, cuda or cuda:N",
            examples=["auto", "cpu", "cuda", "cuda:0"],
        ),
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"], Meta(description="auto: bfloat16 on CUDA, float32 on CPU")
    ] = "auto"
    decoder: Annotated[
        Literal["low-latency", "exact"], Meta(description="low-latency decodes a frame at once, exact waits")
    ] = "low-latency"
    look_ahead: Annotated[
        int, Meta(ge=0, le=7, description="partial frames the low-latency decoder looks ahead at")
    ] = 4
    slots: Annotated[Count, Meta(description="voices that can be spoken at the same time")] = 16
    kv_positions: Annotated[
        int, Meta(ge=0, le=1 << 26, description="positions of the KV cache; 0: 1024 for each slot")
    ] = 0
    prefill_positions: Annotated[
        int, Meta(ge=0, le=65536, description="prompt positions per step, at most; 0: 1024 on CUDA, 128 on the CPU")
    ] = 0
    max_lead_s: Annotated[
        float, Meta(ge=0.2, le=30.0, description="seconds generated ahead of a listener, at most")
    ] = 2.0
    max_clause_s: Annotated[float, Meta(ge=1.0, le=120.0, description="longest single utterance in seconds")] = 30.0
    threads: Annotated[int, Meta(ge=0, le=512, description="torch threads; 0: half the cores")] = 0
    front_end: Annotated[
        Literal["", "none", "normalise", "phonemes"],
        Meta(description="text front end; empty: the one the checkpoint asks for"),
    ] = ""
    voices: Annotated[str, Meta(description="folder of voices: name.wav with its words in name.txt")] = ""
    uploads: Annotated[
        str, Meta(description="folder that keeps uploaded voices; empty: they last until the server stops")
    ] = ""
    max_voices: Annotated[
        int, Meta(ge=0, le=4096, description="uploaded voices, at most; each takes up to 1.5 MB of memory")
    ] = 64
    api_keys: Annotated[
        list[str],
        Meta(
            description="keys that clients must send, at least 16 characters each; better in VOICED_API_KEYS or a file"
        ),
    ] = []
    allow_anonymous: Annotated[
        bool, Meta(description="listen beyond loopback without api_keys: whoever reaches the port may use it")
    ] = False
    tls_cert: Annotated[str, Meta(description="certificate chain (PEM), for https and wss")] = ""
    tls_key: Annotated[str, Meta(description="its private key (PEM)")] = ""
    max_sessions: Annotated[Count, Meta(description="connections at the same time")] = 256
    key_sessions: Annotated[int, Meta(ge=0, description="sessions of one key at the same time; 0: no bound")] = 0
    key_responses: Annotated[int, Meta(ge=0, description="responses of one key at the same time; 0: no bound")] = 0
    key_offers: Annotated[int, Meta(ge=0, description="calls of one key that are not connected yet; 0: no bound")] = 0
    key_speech_s: Annotated[float, Meta(ge=0.0, description="seconds of speech a day of one key; 0: no bound")] = 0.0
    brain: Annotated[
        str,
        Meta(
            description="who decides what to say: read (the user's last text is spoken), rules (the built-in brain), "
            "chat (a language model at brain_url), module:factory, or an entry point of voiced.brains; "
            "empty: chat where brain_url is set, else read"
        ),
    ] = ""
    brain_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s@?#]+)?$",
            description="an OpenAI-compatible chat endpoint, of Ollama, vLLM, llama.cpp or hosted",
            examples=["http://127.0.0.1:11434/v1", "https://api.openai.com/v1"],
        ),
    ] = ""
    brain_model: Annotated[str, Meta(description="the language model's name there")] = ""
    brain_key: Annotated[
        str, Meta(pattern=r"^[!-~]*$", description="and our key, if it wants one; better in VOICED_BRAIN_KEY or a file")
    ] = ""
    brain_instructions: Annotated[str, Meta(description="what it is told before a session's own instructions")] = (
        "You talk with somebody by voice. Answer in one to three short sentences of plain spoken language, "
        "without lists, markup or emoji."
    )
    brain_context_chars: Annotated[
        int,
        Meta(ge=2000, le=4_000_000, description="characters of a conversation it is sent; older turns are summarised"),
    ] = 12_000
    brain_max_tokens: Annotated[
        int, Meta(ge=0, le=1 << 20, description="tokens of one answer of it, at most; 0: no bound is sent")
    ] = 0
    brain_timeout_s: Annotated[float, Meta(ge=1.0, le=25.0, description="seconds to its first text")] = 20.0
    mcp_servers: Annotated[
        list[str],
        Meta(
            description="tools for the language model: MCP servers, each a command or an http(s):// address; "
            "needs the mcp extra",
            examples=["python -m my_tools", "https://tools.example/mcp"],
        ),
    ] = []
    brain_filler: Annotated[
        str, Meta(description="what is said while tools of mcp_servers are slow; empty: nothing")
    ] = "One moment, please."
    brain_filler_s: Annotated[float, Meta(ge=0.0, le=60.0, description="seconds that they may take before it")] = 1.5
    brain_apology: Annotated[
        str, Meta(description="what is said where it gives no answer; empty: nothing, the response just fails")
    ] = "Sorry, I cannot answer right now. Please try again."
    translator: Annotated[
        str, Meta(description="who translates: module:factory, or an entry point of voiced.translators")
    ] = ""
    recogniser: Annotated[
        str,
        Meta(
            description="who understands speech: auto (Whisper from an installed package, if there is one), none, a "
            "folder or hub id of Whisper's weights, the URL of a transcription endpoint, module:factory, or an entry "
            "point of voiced.recognisers"
        ),
    ] = "auto"
    recogniser_model: Annotated[
        str,
        Meta(
            description="which model: tiny.en or base of the installed ones (empty: base if there is one), or what the "
            "endpoint calls it (empty: whisper-1)"
        ),
    ] = ""
    recogniser_key: Annotated[
        str, Meta(description="key for the transcription endpoint; better in VOICED_RECOGNISER_KEY or a file")
    ] = ""
    allowed_origins: Annotated[
        list[Origin],
        Meta(
            description="browser origins that may connect besides the server's own, as https://HOST or https://HOST:PORT"
        ),
    ] = []
    rtc_addresses: Annotated[
        list[str],
        Meta(
            description="addresses for WebRTC calls; empty: all here, for callers from here only while host is loopback"
        ),
    ] = []
    stun_server: Annotated[
        str,
        Meta(
            pattern=f"^(stun:{_ADDRESS})?$",
            description="STUN server that tells our public address, as stun:HOST:PORT",
            examples=["stun:stun.example.org:3478"],
        ),
    ] = ""
    turn_server: Annotated[
        str,
        Meta(
            pattern=rf"^(turn:{_ADDRESS}(\?transport=(udp|tcp))?|turns:{_ADDRESS}(\?transport=tcp)?)?$",
            description="TURN server that relays calls, as turn:HOST:PORT or turns:HOST:PORT?transport=tcp",
            examples=["turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:5349?transport=tcp"],
        ),
    ] = ""
    turn_username: Annotated[str, Meta(description="who we are to the TURN server")] = ""
    turn_password: Annotated[str, Meta(description="and our password; better in VOICED_TURN_PASSWORD or a file")] = ""
    drain_s: Annotated[float, Meta(ge=0.0, le=3600.0, description="seconds to finish speaking on shutdown")] = 30.0
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="how much is logged")] = "info"

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    def shown(self) -> dict[str, Any]:
        """Return all settings by name, as they may be printed and logged: asterisks stand for keys and passwords."""
        settings: dict[str, Any] = msgspec.to_builtins(self)
        return {name: "***" if name in _SECRET and value else value for name, value in settings.items()}


def fields() -> dict[str, msgspec.inspect.Field]:
    """Return all settings by name, with their types and help."""
    info = msgspec.inspect.type_info(Config)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.name: field for field in info.fields}


def as_toml(config: Config) -> str:
    """Write the settings as a settings file. Secrets are left out, with a comment in their place."""
    return "".join(
        f'# {name} = "…" is set and not shown\n' if name in _SECRET and value else f"{name} = {as_toml_value(value)}\n"
        for name, value in config.shown().items()
    )


def as_toml_value(value: Any) -> str:
    """Write a setting's value as a settings file has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")  # but for this, JSON and TOML agree


def load_config(
    flags: Mapping[str, str], environment: Mapping[str, str] = os.environ, file: str | None = None
) -> Config:
    """Put the settings together from all sources. Raises ConfigError.

    `flags` and `environment` hold strings, by setting and by variable. `file` is the path of a settings file; without
    it VOICED_CONFIG names one.
    """
    values: dict[str, Any] = {}
    path = file or environment.get("VOICED_CONFIG")
    if path:
        values.update(_checked(_file(Path(path)), f"in {path}", strict=True))
    from_environment = {
        key.removeprefix(ENV_PREFIX).lower(): value
        for key, value in environment.items()
        if key.startswith(ENV_PREFIX) and key not in _OTHER_ENV and not _service_link(key, value)
    }
    values.update(_checked(from_environment, "from the environment", strict=False))
    values.update(_checked(dict(flags), "from the command line", strict=False))
    return Config(**values)


def _service_link(key: str, value: str) -> bool:
    named = key.endswith("_PORT") and _SERVICE_ADDRESS.match(value)
    return bool(named or _SERVICE_LINK.fullmatch(key))


def make_uploads(config: Config) -> None:
    """Make the folder of uploaded voices and try to write into it, so that a mistake shows at start and not with the
    first upload.

    Raises ConfigError.
    """
    if not config.uploads:
        return
    folder = Path(config.uploads).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"uploads: {folder} is no folder that voices can be kept in ({error.strerror}).") from None


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no settings file {path}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The settings file {path} cannot be read: {error}.") from error


def _checked(raw: dict[str, Any], source: str, *, strict: bool) -> dict[str, Any]:
    known = fields()
    for key, value in raw.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
            raise ConfigError(f"Unknown setting {key!r} {source}. {hint}")
        if isinstance(value, str) and not _is_text(value):
            raise ConfigError(f"Setting {key!r} {source} has bytes that are no UTF-8; convert it, or rename the file.")
        kind = known[key].type
        kind = kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind
        if not strict and isinstance(kind, msgspec.inspect.ListType) and isinstance(value, str):
            raw[key] = [part.strip() for part in value.split(",") if part.strip()]
    try:
        settings = msgspec.convert(raw, Config, strict=strict)
    except msgspec.ValidationError as error:
        where = str(error).rpartition("`$.")[2].rstrip("`")  # port, or allowed_origins[1]
        name = where.partition("[")[0]
        raise ConfigError(_wrong(name, raw[name], source)) from None
    return {key: getattr(settings, key) for key in raw}


def _is_text(value: str) -> bool:
    """Tell whether a value can be encoded.

    Bytes that were no UTF-8 stand in an argument as surrogates, which cannot.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(name: str, value: Any, source: str) -> str:
    """Say what a setting may be, and what was given, unless that is secret."""
    given = "" if name in _SECRET else f", not {value!r:.100}"
    return f"Setting {name!r} {source} has to be {_wanted(fields()[name].type)}{given}."


def _wanted(kind: msgspec.inspect.Type) -> str:
    """Say in words what a setting may be."""
    examples: list[str] = []
    if isinstance(kind, msgspec.inspect.Metadata):
        examples, kind = (kind.extra_json_schema or {}).get("examples", []), kind.type
    match kind:
        case msgspec.inspect.LiteralType(values):
            return _either([str(value) or "empty" for value in values])
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType(ge=least, le=most):
            return f"a whole number from {least} to {most}"
        case msgspec.inspect.FloatType(ge=least, le=most):
            return f"a number from {least} to {most}"
        case msgspec.inspect.ListType(item_type=item):
            return f"a list, of which each is {_wanted(item)}"
    return f"like {_either(examples)}" if examples else "a text"


def _either(choices: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
