"""Extends uvicorn's WebSocket connection by what a live voice needs: a dead or stuck peer is noticed and dropped.

A reader that stops reading stops answering pings, whatever the buffers between: so a late pong says `stalled` and, a
little later, ends the connection at once (closing it politely would wait for the very buffers that are stuck).

Relied on, beyond what it documents (uvicorn 0.54):
- WebSocketsSansIOProtocol calls `handle_connect`, `send_receive_event_to_app`, `keepalive_timeout` and `shutdown` on
  itself, and is ASGI's `send`. `transport` is what it writes to, `loop` its event loop, `conn` its ServerProtocol of
  websockets.
- `handshake_initiated` says that it has read a handshake, `scope` is there once it accepts that; `handshake_complete`
  and `close_sent` say how far it is in answering and in closing, `initial_response` is an answer without a session.
- `pending_ping_payload` is the ping that is not answered yet, `ping_sent_at` its time, `pong_timer` its deadline.
- `frames` and `curr_msg_data_type` are the message that is being read; `handle_parser_exception` ends a connection with
  the close frame that `conn` was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio.transports import BaseTransport
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

SCOPE_KEY = "voiced.websocket_connection"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Bounds a message. The largest hold a reference clip: 30 s are 1.4 MB of PCM, 1.9 MB in base64."""

PING_INTERVAL_S = 1.0
PING_TIMEOUT_S = 4.0
_STALLED_AFTER_S = 0.75
_SEND_BUFFER_BYTES = 32 * 1024


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Serves one WebSocket; the application finds it under `scope["extensions"][SCOPE_KEY]`."""

    drain: asyncio.Event

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.drain = asyncio.Event()
        self.transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    milliseconds = int((PING_INTERVAL_S + PING_TIMEOUT_S) * 1000)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # the head cannot be that of a handshake (a line too long, a body): uvicorn is not told of it
            answer = b"".join(self.conn.data_to_send())
            self.transport.write(answer or self.conn.reject(HTTPStatus.BAD_REQUEST, "").serialize())
            self.transport.close()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was accepted
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[SCOPE_KEY] = self

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:  # uvicorn would log this fault of a client as one of the server
                self.conn.send_close(CloseCode.INVALID_DATA, "text has to be UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            # uvicorn would take the refused handshake for one that was never answered, and log that as an error
            self.handshake_complete = True

    @property
    def stalled(self) -> bool:
        """Tell whether the peer's answer to the last ping is late."""
        return self.pending_ping_payload is not None and self.loop.time() - self.ping_sent_at > _STALLED_AFTER_S

    def abort(self) -> None:
        """Drop the connection without waiting for anything."""
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.transport.abort()

    def shutdown(self) -> None:
        """Let the session finish its sentence, since the server stops. uvicorn's deadline ends what does not."""
        if self.handshake_complete and not self.close_sent:
            self.drain.set()
        else:
            super().shutdown()
