"""Serves `/v1/realtime/calls`: an SDP offer in, an answer out, and the calls that come of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from protocol.errors import Refused
from protocol.objects import SessionConfig
from realtime.access.quotas import Account
from realtime.agent.brain import Brain
from realtime.http.access_middleware import grant_of
from realtime.http.replies import decoded
from realtime.http.routes.client_secrets import initial_session
from realtime.ids import new_id
from realtime.metrics.webrtc_meters import CloseReason
from realtime.rtc.peer import PeerConfig
from realtime.rtc.sdp import BadOffer, Offer, parse_offer
from realtime.session.settings import Runtime, Settings
from realtime.shell.sessions import Place, Sessions
from realtime.shell.shell import Shell
from realtime.transports.webrtc.call import WebRtcCall

log = logging.getLogger("voiced.webrtc")

_MOST_PENDING = 32
"""Bounds the offers that are answered and not connected: each holds sockets for some seconds, whoever sent it."""

_LEAST_MESSAGE_BYTES = 16 * 1024
"""A channel that takes less would lose common events. RFC 8841 section 6.1 lets peers assume 64 KiB."""

_MAX_PARTS = 4
_MAX_SESSION_BYTES = 64 * 1024
_RETRY_S = 2
_CLOSED: dict[str, CloseReason] = {"closed here": "server", "closed by the peer": "client", "failed here": "failed"}


class CallRoutes:
    """Serves the endpoints of calls, and runs the calls. They run in `running()`, which outlives them."""

    def __init__(self, sessions: Sessions, brain: Brain, config: PeerConfig) -> None:
        self._sessions = sessions
        self._meters = sessions.metrics.webrtc
        self._brain = brain
        self._config = config
        self._drain = asyncio.Event()
        self._calls: dict[str, WebRtcCall] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take calls for as long as the context is entered.

        It is left with the last call, once those under way have finished what they are saying or their sessions are
        cut.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                self.drain()

    def drain(self) -> None:
        """Take no more calls. Those under way finish what they are saying and hang up; those not connected yet end
        now.
        """
        self._drain.set()
        for call in self._calls.values():
            if not call.talking:
                call.hang_up()

    def find(self, call_id: str) -> WebRtcCall:
        """Return a call under way. Raises Refused."""
        call = self._calls.get(call_id)
        if call is None or call.wire.ended:
            message = (
                f"There is no call {call_id[:64]!r}, or it is over; its id is the end of the Location of its answer."
            )
            raise Refused("call_not_found", message, "call_id")
        return call

    async def create(self, request: Request) -> Response:
        """Answer an offer with 201 and the answer; `Location` names the call."""
        try:
            return await self._answered(request)
        except Refused:
            self._meters.connect_ended("refused")
            raise

    async def _answered(self, request: Request) -> Response:
        sdp, session = await _parts(request)
        grant = grant_of(request)
        # No await may stand between here and the entry in `_calls`, or other offers would pass the same check.
        place = self._sessions.admit(grant.name, request.query_params.get("ticket"))
        call = WebRtcCall(new_id("rtc_"), self._meters)
        pending: Account | None = None
        try:
            offer, initial = _offer(sdp), _initial(session, initial_session(grant), place.runtime)
            self._check_pending()
            place.account.begin_offer()
            pending = place.account
            self._calls[call.id] = call
            player = await call.answer_offer(offer, self._config)
            tasks = self._open()
            shell = self._sessions.begin(place, call.wire, self._brain, "webrtc", self._drain, initial, player)
            tasks.create_task(self._run(call, shell, place))
        except BaseException as error:
            self._calls.pop(call.id, None)
            if pending is not None:
                pending.end_offer()
            place.give_back()
            await call.discard()
            if isinstance(error, OSError):
                message = f"No address of this server can take the call ({error}); its owner must mend rtc_addresses."
                raise Refused("no_address", message) from error
            raise
        location = f"/v1/realtime/calls/{call.id}"
        return Response(call.answer, 201, {"Location": location}, media_type="application/sdp")

    def _open(self) -> asyncio.TaskGroup:
        """Return the group of tasks that calls run in. Raises Refused once no call is taken any more."""
        if self._tasks is None or self._drain.is_set():
            raise Refused("server_draining", "The server stops; call again shortly.", retry_after_s=_RETRY_S)
        return self._tasks

    def _check_pending(self) -> None:
        self._open()
        if sum(not call.talking for call in self._calls.values()) >= _MOST_PENDING:
            message = "Too many offers wait to be connected; try again shortly."
            raise self._sessions.turned_away("too_many_offers", message, _RETRY_S)

    async def hang_up(self, request: Request) -> Response:
        """End a call at its client's request."""
        self.find(str(request.path_params["id"])).hang_up()
        return Response(status_code=200)

    async def _run(self, call: WebRtcCall, shell: Shell, place: Place) -> None:
        closed: CloseReason = "failed"
        pending = True

        async def talk(connected: Shell) -> None:
            nonlocal pending
            pending = False
            place.account.end_offer()
            await self._sessions.run(place, connected)

        try:
            reason = await call.run(shell, talk)
            log.info("call %s: %s", call.id, reason)
            closed = _CLOSED.get(reason, "lost")
        except Exception:  # the boundary of this call
            log.exception("call %s broke and is over", call.id)
        finally:
            if pending:
                place.account.end_offer()
            place.give_back()
            del self._calls[call.id]
        if call.talking:
            self._meters.call_closed(closed)
        else:
            self._meters.connect_ended("never_connected")


async def _parts(request: Request) -> tuple[str, str | None]:
    """Read the SDP and the session of a request, in either form. Raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return _text(await request.body(), "sdp"), None
    if kind != "multipart/form-data":
        message = "Send the offer as application/sdp, or as multipart/form-data with the parts 'sdp' and 'session'."
        raise Refused("unsupported_media_type", message)
    async with request.form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS, max_part_size=_MAX_SESSION_BYTES) as form:
        parts: dict[str, str] = {}
        for name, part in form.multi_items():
            if name not in ("sdp", "session") or name in parts:
                message = f"The form has a part {name[:64]!r}; it takes one 'sdp' and one 'session'."
                raise Refused("unknown_parameter", message, name[:64])
            parts[name] = _text(await part.read(), name) if isinstance(part, UploadFile) else part
    if "sdp" not in parts:
        raise Refused("missing_required_parameter", "The form has no part 'sdp'; add the offer.", "sdp")
    return parts["sdp"], parts.get("session")


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused("invalid_value", f"The {where} is not UTF-8 text.", where) from None


def _offer(sdp: str) -> Offer:
    try:
        offer = parse_offer(sdp)
    except BadOffer as bad:
        raise Refused("invalid_offer", str(bad), "sdp") from None
    if offer.audio is None:
        message = "The offer has no audio to send speech on; add an audio transceiver (recvonly will do)."
        raise Refused("invalid_offer", message, "sdp")
    if not offer.audio.we_send:
        message = "The offer takes no speech, its audio being sendonly or inactive; make it sendrecv or recvonly."
        raise Refused("invalid_offer", message, "sdp")
    if offer.data is not None and 0 < offer.data.max_message_bytes < _LEAST_MESSAGE_BYTES:
        message = f"The offer takes messages of {offer.data.max_message_bytes} bytes, and events have up to "
        raise Refused("invalid_offer", message + f"{_LEAST_MESSAGE_BYTES}; raise a=max-message-size.", "sdp")
    return offer


def _initial(session: str | None, granted: tuple[SessionConfig, ...], runtime: Runtime) -> tuple[SessionConfig, ...]:
    """Return what the session starts with: what came with the secret, then what came with the offer.

    Raises Refused for what cannot be served.
    """
    if session is None:
        return granted
    asked = decoded(session.encode(), SessionConfig)
    Settings().updated(asked, runtime, "session")
    return *granted, asked
