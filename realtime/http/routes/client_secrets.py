"""Mints client secrets: a browser gets one instead of the API key, with the configuration of the session it opens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from protocol.errors import Refused
from protocol.objects import SessionConfig
from protocol.translations import SessionSetup
from realtime.access.keys import DEFAULT_SECRET_S, MAX_SECRET_S, MIN_SECRET_S, Secrets, TooManySecrets
from realtime.access.policy import Grant
from realtime.access.rules import SecretKind
from realtime.http.access_middleware import grant_of
from realtime.http.replies import Json, decoded
from realtime.ids import new_id
from realtime.session.settings import Runtime, Settings


class _ExpiresAfter(Struct, frozen=True, forbid_unknown_fields=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=MIN_SECRET_S, le=MAX_SECRET_S)] = DEFAULT_SECRET_S


class _NewSecret(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionConfig = SessionConfig()
    expires_after: _ExpiresAfter | None = None


class _NewTranslationSecret(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionSetup = SessionSetup()
    expires_after: _ExpiresAfter | None = None


class _Minted(Struct, frozen=True):
    value: str
    expires_at: int
    session: dict[str, Any]


class SecretRoutes:
    """Serves the endpoints that mint secrets."""

    def __init__(self, minted: Secrets, runtime: Callable[[], Runtime]) -> None:
        self._minted = minted
        self._runtime = runtime

    async def realtime(self, request: Request) -> Response:
        """Mint a secret for `/v1/realtime`. Raises Refused for settings that a session could not have."""
        asked = decoded(await request.body() or b"{}", _NewSecret)
        Settings().updated(asked.session, self._runtime(), "session")
        return self._mint("realtime", asked.session, "realtime.session", asked.expires_after, grant_of(request))

    async def translation(self, request: Request) -> Response:
        """Mint a secret for `/v1/realtime/translations`."""
        asked = decoded(await request.body() or b"{}", _NewTranslationSecret)
        kind = "realtime.translation_session"
        return self._mint("translation", asked.session, kind, asked.expires_after, grant_of(request))

    def _mint(
        self, kind: SecretKind, config: Struct, shown_as: str, expires: _ExpiresAfter | None, grant: Grant
    ) -> Response:
        seconds = (expires or _ExpiresAfter()).seconds
        try:
            value, secret = self._minted.mint(kind, msgspec.json.encode(config), seconds, grant.name, time.time())
        except TooManySecrets as error:
            message = f"{str(error).capitalize()}."
            raise Refused("too_many_secrets", message, retry_after_s=error.retry_after_s) from None
        session = {
            "id": new_id("sess_"),
            "object": shown_as,
            **msgspec.to_builtins(config),
            "type": kind,
        }
        shown = _Minted(value, secret.expires_at, session)
        return Json(shown, headers={"Cache-Control": "no-store"})


def initial_session(grant: Grant) -> tuple[SessionConfig, ...]:
    """Return the configuration that came with a client's secret, if it had one, for its session to start with."""
    return () if grant.session is None else (msgspec.json.decode(grant.session, type=SessionConfig),)
