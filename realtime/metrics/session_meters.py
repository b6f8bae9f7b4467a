"""What one call's listener gets, measured as it goes out: first audio, gaps, lead. The clock is an input.

The listener is modelled as `session.playout` does: it starts to play with the first audio, plays in real time and
waits when it runs dry. Where the server plays, what goes out is what is played, also after the response is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, UnsetType
from prometheus_client import Counter, Histogram

from protocol.objects import Response, ResponseError
from protocol.server_events import (
    InputTimeout,
    PlayoutCleared,
    PlayoutStopped,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SpeechStopped,
)
from realtime.request import Ended

Transport = Literal["websocket", "webrtc", "speech", "cartesia", "translation", "other"]
"""How a client is connected; "other" is a wire of somebody else's."""

GapCause = Literal["speech", "words"]


@dataclass(frozen=True)
class TransportMeters:
    """Where what is measured goes. Those that differ by transport are already that transport's."""

    opened: Counter
    first_audio: Histogram
    gap: dict[GapCause, Histogram]
    lead: Histogram
    audio: Counter
    responses: Counter  # by status and reason, still
    engine_first_audio: Histogram
    clauses: Counter  # by reason, still
    frames: Counter
    prompt_positions: Counter
    cached_positions: Counter
    user_turns: Counter
    idle_timeouts: Counter


@dataclass
class _Spoken:
    """A response whose speech is not over: when it began, when its running clause was asked of the engine and whether
    that has given audio, whether any did, when its listener runs dry (None: it has not heard anything), and whether
    the response itself has ended."""

    begun_at: float
    asked_at: float = 0.0
    clause_begun: bool = False
    audible: bool = False
    empties_at: float | None = None
    ended: bool = False


class SessionMeters:
    """Told of one call what happens, with `now` in monotonic seconds. Silence of `gap_from_s` in the middle of a
    response is a gap; shorter delays are not, but they add up until the listener has caught up. With `plays` it is the
    server that plays."""

    def __init__(
        self, transport: Transport, meters: TransportMeters, sample_rate: int, gap_from_s: float, *, plays: bool
    ) -> None:
        self.transport = transport
        self._meters = meters
        self._rate = sample_rate
        self._gap_from_s = gap_from_s
        self._plays = plays
        self._spoken: dict[str, _Spoken] = {}

    def told(self, event: ServerEvent, now: float) -> None:
        """The session wants the client to be told this."""
        match event:
            case ResponseCreated():
                self._spoken[event.response.id] = _Spoken(now)
            case ResponseDone():
                self._end(event.response.status, _reason(event.response))
                spoken = self._spoken.get(event.response.id)
                if spoken is not None and spoken.audible and self._plays:
                    spoken.ended = True
                else:
                    self._spoken.pop(event.response.id, None)
            case PlayoutStopped() | PlayoutCleared():
                self._spoken.pop(event.response_id, None)
            case SessionCreated():
                self._meters.opened.inc()
            case SpeechStopped():
                self._meters.user_turns.inc()
            case InputTimeout():
                self._meters.idle_timeouts.inc()

    def clause_asked(self, clause_id: str, now: float) -> None:
        """The engine is asked to speak a clause."""
        spoken = self._spoken.get(response_of(clause_id))
        if spoken is not None:
            spoken.asked_at, spoken.clause_begun = now, False

    def clause_audio(self, clause_id: str, now: float, waiting_s: Callable[[str], float]) -> None:
        """Audio of a clause came from the engine; `waiting_s` tells the seconds of a response's speech that were made
        before it and have not gone out."""
        response_id = response_of(clause_id)
        spoken = self._spoken.get(response_id)
        if spoken is None or spoken.clause_begun:
            return
        spoken.clause_begun = True
        if not spoken.audible:
            spoken.audible = True
            self._meters.engine_first_audio.observe(now - spoken.asked_at)
        else:  # the engine takes its time where there is lead
            unplayed_s = 0.0 if spoken.empties_at is None else max(0.0, spoken.empties_at - now)
            self._meters.lead.observe(unplayed_s + waiting_s(response_id))

    def clause_ended(self, ended: Ended) -> None:
        """The engine's last word on a clause."""
        meters = self._meters
        meters.clauses.labels(ended.reason).inc()
        meters.frames.inc(ended.frames)
        meters.prompt_positions.inc(ended.prompt_positions)
        meters.cached_positions.inc(ended.cached_positions)

    def sent(self, response_id: str, samples: int, now: float) -> None:
        """Speech of a response went out."""
        seconds = samples / self._rate
        self._meters.audio.inc(seconds)
        spoken = self._spoken.get(response_id)
        if spoken is None:
            return
        if spoken.empties_at is None:
            self._meters.first_audio.observe(now - spoken.begun_at)
            spoken.empties_at = now
        elif (silent_s := now - spoken.empties_at) >= self._gap_from_s:
            # a clause that was asked for when silence had already fallen could not have prevented it
            cause: GapCause = "words" if spoken.asked_at > spoken.empties_at else "speech"
            self._meters.gap[cause].observe(silent_s)
            spoken.empties_at = now
        spoken.empties_at += seconds

    def hung_up(self) -> None:
        """The call is over: what was still being said ends with it."""
        for spoken in self._spoken.values():
            if not spoken.ended:
                self._end("cancelled", "disconnected")
        self._spoken.clear()

    def _end(self, status: str, reason: str) -> None:
        self._meters.responses.labels(self.transport, status, reason).inc()


def response_of(clause_id: str) -> str:
    """The response that a clause belongs to: its id begins with that."""
    return clause_id.rpartition(".")[0]


def _reason(response: Response) -> str:
    """Why it ended like this, as one of the codes of the protocol; empty for a completed one."""
    details = response.status_details
    if details is None:
        return ""
    code: str | UnsetType = details.error.code if isinstance(details.error, ResponseError) else details.reason
    return "" if code is UNSET else code
