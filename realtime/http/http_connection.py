"""Extends uvicorn's HTTP connection by what a sound file needs that is sent while it is made.

It can be dropped at once, it buffers little, and it tells when the server stops. Every wait for the peer has a
deadline.

Relied on, beyond what it documents (uvicorn 0.54):
- H11Protocol is made with `config`, `server_state`, `app_state` and `_loop`. It calls `handle_events`,
  `on_response_complete`, `handle_websocket_upgrade` and `shutdown` on itself. `conn` is its h11.Connection, `loop` its
  event loop; `transport` is what it writes to and closes, `flow` pauses reading (`read_paused`), `cycle` is the request
  under way or the one before (`response_complete`).
- Server hands its `server_state` to each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio.transports import Transport
from typing import Any, Literal

import h11
from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from realtime.http.connections import Connections

_STATE_KEY = "voiced.http_connection"
_SEND_BUFFER_BYTES = 64 * 1024
_HEAD_DEADLINE_S = 10.0
"""How long a request's head may take to arrive, be it the first one or a later one. uvicorn itself closes a connection
on which nothing comes for 5 s after an answer."""

_DISCARD_S = 10.0
_DISCARD_BYTES = 16 * 1024 * 1024
"""What still comes of a request that was answered is read and thrown away, within these bounds of time and size. To
close on it would be a reset, which takes the answer away from a peer that has not read it."""

_GIVE_UP_S = 30.0
"""A peer that takes nothing for this long is dropped by the kernel. Without that, the last bytes of an answer, which
nothing here waits for, could keep a connection for ever."""


class CountedState(ServerState):
    """Holds what the connections of a server share, and how many there may be of them."""

    def __init__(self, open_now: Connections) -> None:
        super().__init__()
        self.open_now = open_now


class HttpConnection(H11Protocol):
    """Serves one HTTP connection; the application finds it with `http_connection_of`.

    `drain` is set when the server stops: what is being answered may finish, within uvicorn's deadline.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, _STATE_KEY: self}, _loop)
        self.drain = asyncio.Event()
        self._open_now = server_state.open_now if isinstance(server_state, CountedState) else None
        self._phase: Literal["waiting", "answering", "discarding", "upgraded"] = "waiting"
        self._discarded = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._socket_transport = transport
        super().connection_made(_ClosedPolitely(transport, self))
        transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        self._descriptor = -1 if connection is None else connection.fileno()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_GIVE_UP_S * 1000))
        self._deadline = self.loop.call_later(_HEAD_DEADLINE_S, transport.close)

    def data_received(self, data: bytes) -> None:
        if self._phase == "discarding":
            self._discarded += len(data)
            if self._discarded > _DISCARD_BYTES:
                self._socket_transport.close()
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        self._settle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._settle()

    def _settle(self) -> None:
        """Find out what is waited for now, and set the deadline for it if it is the peer."""
        if self._phase == "upgraded" or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._enter("answering")
        elif self.conn.their_state is h11.SEND_BODY:
            self._enter("discarding")
        else:
            self._enter("waiting")

    def _enter(self, phase: Literal["waiting", "answering", "discarding", "upgraded"]) -> None:
        if phase == self._phase:
            return
        self._phase = phase
        self._deadline.cancel()
        if phase in ("answering", "upgraded"):
            if self._open_now is not None:
                self._open_now.works(self._descriptor)
            return
        if self._open_now is not None:
            self._open_now.waits(self._descriptor)
        self._discarded = 0
        patience = _HEAD_DEADLINE_S if phase == "waiting" else _DISCARD_S
        self._deadline = self.loop.call_later(patience, self._socket_transport.close)

    def close_politely(self) -> bool:
        """Close the connection once the peer has sent what it is sending; return False where it is sending nothing."""
        if self.conn.their_state not in (h11.SEND_BODY, h11.ERROR) and not self.flow.read_paused:
            return False
        self._enter("discarding")
        self._socket_transport.resume_reading()
        if self._socket_transport.can_write_eof():
            self._socket_transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._enter("upgraded")
        self.transport = self._socket_transport
        super().handle_websocket_upgrade(event)

    def shutdown(self) -> None:
        self.drain.set()
        if self._phase == "discarding":
            self._socket_transport.close()
        else:
            super().shutdown()

    def abort(self) -> None:
        """Drop the connection without waiting for anything."""
        self._socket_transport.abort()


class _ClosedPolitely(asyncio.Transport):
    """Stands between uvicorn and its transport: if uvicorn closes it while the peer is still sending, the peer may
    finish.
    """

    def __init__(self, transport: Transport, connection: HttpConnection) -> None:
        super().__init__()
        self._transport = transport
        self._connection = connection
        self._closing = False

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = self._connection.close_politely()
        if not self._closing:
            self._transport.close()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._transport.write(data)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


def http_connection_of(scope: Scope) -> HttpConnection | None:
    """Return the connection that a request came over; None under a server that is not ours."""
    link = scope.get("state", {}).get(_STATE_KEY)
    return link if isinstance(link, HttpConnection) else None
