"""Serves the Realtime protocol over WebSocket at `/v1/realtime`, as JSON text or msgpack."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import UNSET
from starlette.websockets import WebSocket

from protocol.client_events import ClientEvent, InputAudioAppend, ItemCreate, ResponseCreate
from protocol.encodings import JSON, JSON_PROTOCOL, MSGPACK, MSGPACK_PROTOCOL, BadMessage, Encoding
from protocol.errors import Refused
from protocol.objects import ErrorBody
from protocol.server_events import ServerEvent
from realtime.agent.brain import Brain
from realtime.http.access_middleware import grant_of
from realtime.http.client_socket import ClientSocket
from realtime.http.handshake import admitted
from realtime.http.replies import reply_to
from realtime.http.routes.client_secrets import initial_session
from realtime.shell.sessions import Sessions
from realtime.transports.webrtc.routes import CallRoutes
from realtime.transports.webrtc.sideband import Sideband

_MAX_PLAIN_BYTES = 256 * 1024
_WITH_AUDIO = (InputAudioAppend, ItemCreate, ResponseCreate)
"""Events that may hold clips. All others are bounded by `_MAX_PLAIN_BYTES`."""


def pick_encoding(offered: list[str]) -> tuple[Encoding, str | None]:
    """Choose the encoding and the sub-protocol from those that a client offers. A client that offers none gets JSON."""
    if MSGPACK_PROTOCOL in offered:
        return MSGPACK, MSGPACK_PROTOCOL
    return JSON, JSON_PROTOCOL if JSON_PROTOCOL in offered else None


class WebSocketWire:
    """Carries a session over a WebSocket, as a `Wire`."""

    def __init__(self, socket: ClientSocket, encoding: Encoding) -> None:
        self._socket = socket
        self._encoding = encoding

    @property
    def stalled(self) -> bool:
        return self._socket.stalled

    async def send(self, event: ServerEvent) -> None:
        await self._socket.send(self._encoding.encode(event), binary=self._encoding.binary)

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

    async def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        async for data, binary in self._socket.messages():
            if binary != self._encoding.binary:
                wanted = "binary msgpack" if self._encoding.binary else "JSON text"
                explained = f"This connection speaks {wanted}; send messages of that kind."
                yield BadMessage(ErrorBody("invalid_request_error", "wrong_message_kind", explained))
                continue
            try:
                event = self._encoding.decode_client(data)
            except BadMessage as bad:
                yield bad
                continue
            if len(data) > _MAX_PLAIN_BYTES and not isinstance(event, _WITH_AUDIO):
                yield BadMessage(_too_large(event, len(data)))
            else:
                yield event


class RealtimeRoutes:
    """Serves `/v1/realtime`.

    `brain` decides what to say in the conversations. `calls` are those that clients can join beside the caller.
    """

    def __init__(self, sessions: Sessions, brain: Brain, calls: CallRoutes) -> None:
        self._sessions = sessions
        self._brain = brain
        self._calls = calls

    async def connect(self, websocket: WebSocket) -> None:
        """Serve one conversation to its end; with `?call_id=`, that of a WebRTC call, beside its caller."""
        if (call_id := websocket.query_params.get("call_id")) is not None:
            await self._listen_in(websocket, call_id)
            return
        place = await admitted(websocket, self._sessions)
        if place is None:
            return
        with place:
            encoding, subprotocol = pick_encoding(websocket.scope["subprotocols"])
            await websocket.accept(subprotocol)
            socket = ClientSocket(websocket)
            initial = initial_session(grant_of(websocket))
            wire = WebSocketWire(socket, encoding)
            shell = self._sessions.begin(place, wire, self._brain, "websocket", socket.drain, initial)
            await self._sessions.run(place, shell)

    async def _listen_in(self, websocket: WebSocket, call_id: str) -> None:
        sideband = Sideband()
        try:
            call = self._calls.find(call_id)
            call.wire.join(sideband)
        except Refused as refused:
            await websocket.send_denial_response(reply_to(refused))
            return
        try:
            encoding, subprotocol = pick_encoding(websocket.scope["subprotocols"])
            await websocket.accept(subprotocol)
            await call.listen_in(sideband, WebSocketWire(ClientSocket(websocket), encoding))
        finally:
            call.wire.leave(sideband)


def _too_large(event: ClientEvent, size: int) -> ErrorBody:
    event_id = None if event.event_id is UNSET else event.event_id
    message = f"The message has {size} bytes; one of this kind may have {_MAX_PLAIN_BYTES}."
    return ErrorBody("invalid_request_error", "message_too_large", message, None, event_id)
