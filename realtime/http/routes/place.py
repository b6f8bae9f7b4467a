"""Serves `GET /v1/realtime/place`, which tells whether a session would be let in now.

Browsers do not tell a page why its WebSocket was refused.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from realtime.http.access_middleware import grant_of
from realtime.http.replies import Json


class PlaceRoute:
    """Serves the endpoint. `ask` raises Refused where a session of a key, with a ticket, would be refused."""

    def __init__(self, ask: Callable[[str, str | None], None]) -> None:
        self._ask = ask

    async def show(self, request: Request) -> Response:
        """Answer 200, or what the session would be refused with. A ticket keeps its place in line."""
        self._ask(grant_of(request).name, request.query_params.get("ticket"))
        return Json({"status": "free"}, headers={"Cache-Control": "no-store"})
