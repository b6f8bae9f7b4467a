"""Lists the routes of the server and what each one asks for. A route that is not in the table is refused.

A route takes an API key, where the server has any. Some take a client secret of one kind instead, for browsers; a few
are open to everybody, whatever page asks. `policy` decides by this table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Method = Literal["GET", "POST", "DELETE", "WEBSOCKET"]
SecretKind = Literal["realtime", "translation"]

_KIB = 1024
_CLIP_BYTES = 10 * 1024 * _KIB  # the largest reference clip
_RECORDING_BYTES = 25 * 1024 * _KIB  # the largest recording to be transcribed


@dataclass(frozen=True)
class Rule:
    """Describes one route: who gets in, and how large a body it reads.

    The size of WebSocket messages is bounded elsewhere.
    """

    method: Method
    path: str
    open: bool = False
    secret: SecretKind | None = None  # the kind of client secret that opens it, besides a key
    key_in_query: bool = False  # `?api_key=`, where a protocol has it so
    max_body_bytes: int = 0


RULES = (
    Rule("GET", "/", open=True),
    Rule("GET", "/browser/{name}", open=True),
    Rule("GET", "/healthz", open=True),
    Rule("GET", "/readyz", open=True),
    Rule("GET", "/metrics"),
    Rule("WEBSOCKET", "/v1/realtime", secret="realtime"),
    Rule("GET", "/v1/realtime/place", secret="realtime"),
    Rule("POST", "/v1/realtime/client_secrets", max_body_bytes=64 * _KIB),
    Rule("POST", "/v1/realtime/calls", secret="realtime", max_body_bytes=128 * _KIB),
    Rule("POST", "/v1/realtime/calls/{id}/hangup", secret="realtime"),
    Rule("WEBSOCKET", "/v1/realtime/translations", secret="translation"),
    Rule("POST", "/v1/realtime/translations/client_secrets", max_body_bytes=64 * _KIB),
    Rule("POST", "/v1/audio/speech", max_body_bytes=128 * _KIB),
    Rule("POST", "/v1/audio/transcriptions", max_body_bytes=_RECORDING_BYTES + 64 * _KIB),
    Rule("POST", "/v1/audio/translations", max_body_bytes=_RECORDING_BYTES + 64 * _KIB),
    Rule("GET", "/v1/audio/voices"),
    Rule("POST", "/v1/audio/voices", max_body_bytes=_CLIP_BYTES + 64 * _KIB),
    Rule("GET", "/v1/audio/voices/{id}"),
    Rule("DELETE", "/v1/audio/voices/{id}"),
    Rule("GET", "/v1/models"),
    Rule("GET", "/v1/models/{id:path}"),
    Rule("WEBSOCKET", "/tts/websocket", key_in_query=True),
)


class Table:
    """Finds the rows of a table that a request falls under."""

    def __init__(self, rules: Iterable[Rule] = RULES) -> None:
        self._patterns = tuple((rule, _pattern(rule.path)) for rule in rules)

    def rule_for(self, method: str, path: str) -> Rule | None:
        """Return the row that a request falls under, or None; HEAD counts as GET."""
        wanted = "GET" if method == "HEAD" else method
        return next((rule for rule in self._matching(path) if rule.method == wanted), None)

    def methods_of(self, path: str) -> list[Method]:
        """List the methods that a path takes; the list is empty where there is no route."""
        return [rule.method for rule in self._matching(path)]

    def _matching(self, path: str) -> list[Rule]:
        return [rule for rule, pattern in self._patterns if pattern.fullmatch(path)]


def _pattern(template: str) -> re.Pattern[str]:
    """Compile a path template, in which `{name}` stands for one segment of a path and `{name:path}` for all that
    follows.
    """
    parts = re.split(r"(\{[a-z]+(?::path)?\})", template)
    return re.compile(
        "".join(
            (r".+" if part.endswith(":path}") else r"[^/]+") if part.startswith("{") else re.escape(part)
            for part in parts
        )
    )
