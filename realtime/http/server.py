"""Serves the application: where it listens, with which certificate, over which connections."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import ssl
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette

from realtime.access.policy import is_loopback
from realtime.config import Config, ConfigError
from realtime.http.connections import Connections, Listener
from realtime.http.http_connection import CountedState, HttpConnection
from realtime.http.websocket_connection import MAX_MESSAGE_BYTES, PING_INTERVAL_S, PING_TIMEOUT_S, WebSocketConnection

_LOG_LEVELS = {"debug": "info", "info": "warning", "warning": "warning", "error": "error"}
"""uvicorn's log level for each of ours. Its debug level writes out handshakes, keys included, and is never used."""


_GOODBYE_S = 2
"""How long sessions that are cut at the end of the drain have to tell their clients, before uvicorn cuts their
connections."""


class Server(uvicorn.Server):
    """Runs uvicorn without its signal handlers: whoever runs it decides when it stops, by `should_exit`.

    `drain` is called then, before anything else: uvicorn knows only connections, and ends the rest of the application
    after them.
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None], connections: Connections | None) -> None:
        super().__init__(config)
        self._drain = drain
        if connections is not None:
            self.server_state = CountedState(connections)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def check_listening(config: Config) -> None:
    """Raise ConfigError where anybody who reaches the server could use it, or its certificate cannot be used."""
    if not (config.api_keys or config.allow_anonymous or is_loopback(config.host)):
        raise ConfigError(
            f"host {config.host!r} can be reached from other machines and api_keys is empty: set VOICED_API_KEYS, "
            "or --allow-anonymous if everybody there may use the server."
        )
    if bool(config.tls_cert) != bool(config.tls_key):
        raise ConfigError("tls_cert and tls_key belong together; give both, or neither.")
    if config.tls_cert:
        try:
            # a key with a passphrase would ask for it on the terminal; an empty one makes that an error
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, config.tls_key, lambda: "")
        except OSError as error:  # ssl.SSLError is one
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            because = f" ({reason})" if reason else ""  # for a file that is no PEM there is none
            raise ConfigError(
                f"tls_cert {config.tls_cert} and tls_key {config.tls_key} cannot be used{because}; "
                "give a certificate chain and its unencrypted key, both as PEM files."
            ) from error


def create_server(
    app: Starlette,
    config: Config,
    drain: Callable[[], None] = lambda: None,
    connections: Connections | None = None,
) -> Server:
    """Return a server with our connection classes: own pings, no compression, bounded messages, a drain on shutdown.

    `drain` begins the drain of what is no connection. `connections` are those of the socket it will listen on.
    """
    return Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            http=HttpConnection,
            ws=WebSocketConnection,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_TIMEOUT_S,
            ws_per_message_deflate=False,
            ssl_certfile=config.tls_cert or None,
            ssl_keyfile=config.tls_key or None,
            timeout_graceful_shutdown=math.ceil(config.drain_s) + _GOODBYE_S,
            log_level=_LOG_LEVELS[config.log_level],
            access_log=config.log_level == "debug",
            server_header=False,
        ),
        drain,
        connections,
    )


def reached_at(host: str, port: int) -> str:
    """Return HOST:PORT by which a client on this machine reaches a server that listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def listen(host: str, port: int, connections: Connections | None = None) -> socket.socket:
    """Return a listening socket, which accepts as many connections as `connections` has room for.

    Raises OSError with the fix when it cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family) if connections is None else Listener(family, connections)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        nowhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        fix = "give an address of this machine with --host" if nowhere else "choose another with --port"
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}; {fix}") from error
    return listener
