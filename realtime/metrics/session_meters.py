"""Measures what one session's listener gets, as it goes out: first audio, gaps, lead. The clock is an input.

The listener is modelled as in `session.playout`: it starts to play with the first audio, plays in real time and waits
when it runs dry. Where the server plays, what goes out is what is played, also after the response is over.
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
"""Names how a client is connected; "other" is a wire of somebody else's."""

GapCause = Literal["speech", "words"]


@dataclass(frozen=True)
class TransportMeters:
    """Holds the meters that one transport's sessions feed.

    Meters with a label for the transport are given with that label set.
    """

    opened: Counter
    first_audio: Histogram
    gap: dict[GapCause, Histogram]
    lead: Histogram
    audio: Counter
    responses: Counter  # all labels are still to be set: transport, status, reason
    engine_first_audio: Histogram
    clauses: Counter  # the label for the reason is still to be set
    frames: Counter
    prompt_positions: Counter
    cached_positions: Counter
    user_turns: Counter
    idle_timeouts: Counter


@dataclass
class _Spoken:
    """Follows a response whose speech is not over. All times are monotonic seconds.

    `asked_at` is when its running clause was asked of the engine; `clause_begun` says that this clause has given audio,
    `audible` that any clause has. `empties_at` is when the listener runs dry; None says that it has not heard anything.
    `ended` says that the response itself has ended.
    """

    begun_at: float
    asked_at: float = 0.0
    clause_begun: bool = False
    audible: bool = False
    empties_at: float | None = None
    ended: bool = False


class SessionMeters:
    """Measures one session from what it is told; `now` is monotonic seconds.

    Silence of `gap_from_s` or more in the middle of a response is a gap. Shorter delays are not, but they add up until
    the listener has caught up. `plays` says that the server itself plays the speech.
    """

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
        """Count an event that the session sends to its client."""
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
        """Note that the engine is asked to speak a clause."""
        spoken = self._spoken.get(response_of(clause_id))
        if spoken is not None:
            spoken.asked_at, spoken.clause_begun = now, False

    def clause_audio(self, clause_id: str, now: float, waiting_s: Callable[[str], float]) -> None:
        """Note audio of a clause that came from the engine.

        `waiting_s` returns, for a response's id, the seconds of its speech that were made before and have not gone out.
        """
        response_id = response_of(clause_id)
        spoken = self._spoken.get(response_id)
        if spoken is None or spoken.clause_begun:
            return
        spoken.clause_begun = True
        if not spoken.audible:
            spoken.audible = True
            self._meters.engine_first_audio.observe(now - spoken.asked_at)
        else:  # the time since it was asked means little here, as the engine need not hurry for a listener with lead
            unplayed_s = 0.0 if spoken.empties_at is None else max(0.0, spoken.empties_at - now)
            self._meters.lead.observe(unplayed_s + waiting_s(response_id))

    def clause_ended(self, ended: Ended) -> None:
        """Count the end of a clause at the engine."""
        meters = self._meters
        meters.clauses.labels(ended.reason).inc()
        meters.frames.inc(ended.frames)
        meters.prompt_positions.inc(ended.prompt_positions)
        meters.cached_positions.inc(ended.cached_positions)

    def sent(self, response_id: str, samples: int, now: float) -> None:
        """Count `samples` of a response's speech that went out at `now`."""
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
        """End all responses that are still being spoken, since the session is over."""
        for spoken in self._spoken.values():
            if not spoken.ended:
                self._end("cancelled", "disconnected")
        self._spoken.clear()

    def _end(self, status: str, reason: str) -> None:
        self._meters.responses.labels(self.transport, status, reason).inc()


def response_of(clause_id: str) -> str:
    """Return the id of the response that a clause belongs to: the clause's id begins with it."""
    return clause_id.rpartition(".")[0]


def _reason(response: Response) -> str:
    """Return why a response ended, as one of the protocol's codes; empty for a completed one."""
    details = response.status_details
    if details is None:
        return ""
    code: str | UnsetType = details.error.code if isinstance(details.error, ResponseError) else details.reason
    return "" if code is UNSET else code
