"""Decides on one request: whether its route is known, whether this page may ask, and who asks.

Origin: programs send none. A browser's page is let in when it comes from this server or is one of `allowed_origins`.
"This server" is what the request's Host header says, and a page can make that say its own name by pointing its domain
here (DNS rebinding). A key stops such a page; without keys, only names that nobody can point elsewhere count: an IP
address, `localhost`, the allowed origins' own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from protocol.errors import Refused
from realtime.access.credentials import credentials
from realtime.access.keys import SECRET_PREFIX, ApiKeys, Secrets
from realtime.access.rules import RULES, Method, Rule, Table


@dataclass(frozen=True)
class Head:
    """Holds the head of a request. Header names are lower case; a WebSocket handshake's method is WEBSOCKET."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: Sequence[str] = ()
    query: str = ""


@dataclass(frozen=True)
class Grant:
    """Says who was let in.

    With a client secret, `session` is the configuration it was minted with (JSON), and `name` the name of the key that
    minted it.
    """

    by: Literal["nobody", "anonymous", "key", "secret"]
    name: str = ""
    session: bytes | None = None

    @property
    def operator(self) -> bool:
        """Tell whether the client may see and change what belongs to the server."""
        return self.by in ("anonymous", "key")


class Denied(Refused):
    """Refuses a request before it reaches its route.

    The message names the fix and repeats nothing secret. `headers` are sent with the answer.
    """

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.headers = dict(headers or {})


class Access:
    """Decides who may do what on one server."""

    def __init__(
        self,
        keys: ApiKeys,
        secrets: Secrets,
        allowed_origins: Iterable[str],
        *,
        loopback: bool,
        rules: Iterable[Rule] = RULES,
    ) -> None:
        """Decide by `rules`, the table of routes. `loopback` says that the server listens to this machine alone."""
        self._table = Table(rules)
        self.secrets = secrets
        self._keys = keys
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._names = frozenset(name for origin in self._origins if (name := urlsplit(origin).netloc))
        self._loopback = loopback

    def admit(self, head: Head, now: float) -> tuple[Rule, Grant]:
        """Let a request in: return its route's row and who asks. `now` is Unix time.

        Raises Denied. A route that is open to everybody raises it only if it does not exist; whoever is not known there
        is granted as "nobody".
        """
        rule = self._table.rule_for(head.method, head.path)
        if rule is None:
            raise _unknown(head, self._table.methods_of(head.path))
        if rule.open:
            try:
                self._check_origin(head)
                return rule, self._who(rule, head, now)
            except Denied:
                return rule, Grant("nobody")
        self._check_origin(head)
        return rule, self._who(rule, head, now)

    def preflight(self, head: Head) -> Sequence[str]:
        """List the methods that a page may use at a path, for a browser that asks before it sends. Raises Denied."""
        methods = [method for method in self._table.methods_of(head.path) if method != "WEBSOCKET"]
        if not methods:
            raise _unknown(head, self._table.methods_of(head.path))
        self._check_origin(head)
        return methods

    def shares_with(self, origin: str | None) -> bool:
        """Tell whether a page from this origin may read the answers (CORS)."""
        return origin is not None and origin.lower() in self._origins

    def _check_origin(self, head: Head) -> None:
        host, origin = head.headers.get("host", "").lower(), head.headers.get("origin")
        known = bool(self._keys) or host in self._names or _is_address(host)
        if not known and self._loopback:
            message = f"This server answers to 127.0.0.1 and localhost, not to {host[:100]!r}; use one of those."
            raise Denied("host_not_allowed", message)
        if origin is None or self.shares_with(origin) or (known and host and _netloc(origin.lower()) == host):
            return
        raise Denied("origin_not_allowed", "This page may not connect; add its origin to allowed_origins.")

    def _who(self, rule: Rule, head: Head, now: float) -> Grant:
        sent = credentials(head.headers, head.subprotocols, head.query if rule.key_in_query else "")
        misplaced = False
        for credential in sent:
            if credential.startswith(SECRET_PREFIX):
                secret = self.secrets.redeem(credential, now)
                if secret is not None and secret.kind == rule.secret:
                    return Grant("secret", secret.minted_by, secret.session)
                misplaced = misplaced or secret is not None
            elif (name := self._keys.name(credential)) is not None:
                return Grant("key", name)
        if misplaced:
            raise Denied("secret_not_allowed", f"A client secret does not open {rule.path}; use an API key.")
        if any(credential.startswith(SECRET_PREFIX) for credential in sent):
            message = "The client secret has expired or is not known here; mint another one with an API key."
            raise _unauthorized(message)
        if not self._keys:
            return Grant("anonymous")
        if sent:
            raise _unauthorized("The API key is not known here; use one of the server's api_keys.")
        raise _unauthorized("No API key was sent; send one as 'Authorization: Bearer KEY'.")


def is_loopback(host: str) -> bool:
    """Tell whether `host`, an address to listen on, is reached by this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _netloc(origin: str) -> str:
    """Return the host and port of an origin, or an empty string for what is no origin."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _unauthorized(message: str) -> Denied:
    return Denied("invalid_api_key", message, {"www-authenticate": "Bearer"})


def _unknown(head: Head, methods: Sequence[Method]) -> Denied:
    if not methods:
        return Denied("unknown_url", f"There is nothing at {head.path[:100]!r}; see protocol/PROTOCOL.md.")
    if methods == ["WEBSOCKET"]:
        message = f"{head.path} is a WebSocket; connect with ws:// or wss://."
        return Denied("websocket_expected", message, {"upgrade": "websocket"})
    allowed = [method for method in methods if method != "WEBSOCKET"]
    message = f"{head.path[:100]} takes {' and '.join(allowed)}, not {head.method[:20]}."
    return Denied("method_not_allowed", message, {"allow": ", ".join(allowed)})


def _is_address(host: str) -> bool:
    """Tell whether a Host header is an IP address or localhost, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
