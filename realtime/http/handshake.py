"""Lets a WebSocket's handshake in, or refuses it: clients see a status and a sentence, not a close code."""

from __future__ import annotations

from starlette.websockets import WebSocket

from protocol.errors import Refused
from realtime.http.access_middleware import grant_of
from realtime.http.replies import reply_to
from realtime.shell.sessions import Place, Sessions


async def admitted(websocket: WebSocket, sessions: Sessions) -> Place | None:
    """Return the place of a session that may begin; otherwise answer the handshake with the reason and return None."""
    try:
        return sessions.admit(grant_of(websocket).name, websocket.query_params.get("ticket"))
    except Refused as refused:
        await websocket.send_denial_response(reply_to(refused))
        return None
