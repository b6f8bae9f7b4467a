"""uvicorn's HTTP connection with what a sound file needs that is sent while it is made: it can be dropped at once, it
buffers little, and it tells when the server stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio.transports import Transport
from typing import Any

from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_STATE_KEY = "voiced.http_connection"
_SEND_BUFFER_BYTES = 64 * 1024
_HEAD_DEADLINE_S = 10.0
"""A request's head takes no longer to arrive."""

_GIVE_UP_S = 30.0
"""A peer that takes nothing for so long is dropped by the kernel: also the last bytes of an answer, which nobody here
waits for, do not keep a connection for ever."""


class HttpConnection(H11Protocol):
    """The connection, which the application finds with `http_connection_of`.

    `drain` is set when the server stops: what is being answered may finish, within uvicorn's deadline."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, _STATE_KEY: self}, _loop)
        self.drain = asyncio.Event()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._waiting = self.loop.call_later(_HEAD_DEADLINE_S, self._give_up)
        transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_GIVE_UP_S * 1000))

    def _give_up(self) -> None:
        """Nothing was asked in time: idle connections are not kept for whoever never means to ask."""
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._waiting.cancel()
        super().handle_websocket_upgrade(event)

    def shutdown(self) -> None:
        self.drain.set()
        super().shutdown()

    def abort(self) -> None:
        """Drop the connection without waiting for anything."""
        self.transport.abort()


def http_connection_of(scope: Scope) -> HttpConnection | None:
    """The connection that a request came over; None under a server that is not ours."""
    link = scope.get("state", {}).get(_STATE_KEY)
    return link if isinstance(link, HttpConnection) else None
