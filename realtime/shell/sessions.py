"""Lets sessions in, whatever wire they come by: they are promised a place, counted, run and cut here alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

from protocol.errors import Refused
from protocol.objects import SessionConfig
from realtime.access.quotas import Account, Quotas
from realtime.agent.brain import Brain
from realtime.engine.client import EngineClient
from realtime.engine.messages import EngineInfo
from realtime.hearing.listening import Hearing
from realtime.metrics.registry import Metrics, RefusalReason
from realtime.metrics.session_meters import Transport
from realtime.recognition.recogniser import Recogniser
from realtime.session.settings import Runtime
from realtime.session.shared import Limits
from realtime.shell.player import Player
from realtime.shell.shell import Shell, Wire
from realtime.shell.slot_shares import SlotShares
from realtime.shell.waiting_line import WaitingLine, keeps_a_place

_NOT_READY_RETRY_S = 2
_FULL_RETRY_S = 5


class Place:
    """Keeps room for one session, from its promise to the end of the session.

    `runtime` is what runs behind it, `client` the name of the key it belongs to, `account` what that key uses.
    """

    def __init__(self, sessions: Sessions, runtime: Runtime, client: str, account: Account) -> None:
        self._sessions = sessions
        self.runtime = runtime
        self.client = client
        self.account = account

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Free the room. It may be called twice; leaving the place's `with` block does it too."""
        self._sessions.give_back(self)


class Sessions:
    """Keeps the sessions of a server: at most `max_sessions`, together with those that were only promised a place.

    `runtime` says what a session is told of an engine. `limits` bounds each session, `quotas` what each key may use.
    """

    def __init__(
        self,
        engine: EngineClient,
        runtime: Callable[[EngineInfo], Runtime],
        limits: Limits,
        hearing: Hearing,
        metrics: Metrics,
        max_sessions: int,
        quotas: Quotas | None = None,
        recogniser: Recogniser | None = None,
    ) -> None:
        self.engine = engine
        self.limits = limits
        self.metrics = metrics
        self._runtime = runtime
        self._hearing = hearing
        self._recogniser = recogniser
        self._most = max_sessions
        self._quotas = quotas or Quotas()
        self._shares = SlotShares()
        self._places: set[Place] = set()
        self._running: set[Shell] = set()
        self._line = WaitingLine()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def promised(self) -> int:
        """Return how many places are taken, by sessions under way and by those that have not begun."""
        return len(self._places)

    def __iter__(self) -> Iterator[Shell]:
        return iter(tuple(self._running))

    def runtime(self) -> Runtime:
        """Return what runs, as a session is told of it. Raises Refused while nothing does."""
        return self._runtime(ready(self.engine))

    def admit(self, client: str = "", ticket: str | None = None) -> Place:
        """Promise room for a session of the key `client`, until the place is given back.

        On a full server, `ticket` keeps its place in the waiting line. Raises Refused when the engine is not ready, the
        key has all it may have, or the server is full.
        """
        try:
            runtime = self.runtime()
        except Refused:
            self.metrics.refused("engine_not_ready")
            raise
        account = self._quotas.account(client)
        try:
            account.begin_session()
        except Refused:
            self.metrics.refused("rate_limit_exceeded")
            raise
        if (number := self._line.place(ticket, self._free, time.monotonic())) is not None:
            account.end_session()
            raise self.turned_away("too_many_sessions", self._full(number, ticket), _FULL_RETRY_S)
        place = Place(self, runtime, client, account)
        self._places.add(place)
        return place

    def ask(self, client: str = "", ticket: str | None = None) -> None:
        """Raise Refused where `admit` would. Nothing is promised or counted; `ticket` keeps its place in line."""
        self.runtime()
        account = self._quotas.account(client)
        account.begin_session()
        account.end_session()
        if (number := self._line.place(ticket, self._free, time.monotonic(), enters=False)) is not None:
            raise Refused("too_many_sessions", self._full(number, ticket), retry_after_s=_FULL_RETRY_S)

    @property
    def _free(self) -> int:
        return self._most - len(self._places)

    def _full(self, number: int, ticket: str | None) -> str:
        message = f"No session is free ({self._most} in all); you are number {number} in line."
        if ticket is not None and not keeps_a_place(ticket):
            message += " The ticket keeps no place: it has to be 8 to 64 letters, digits, - and _."
        return message

    def turned_away(self, code: RefusalReason, message: str, retry_after_s: int) -> Refused:
        """Count a session that is not let in; return what to raise."""
        self.metrics.refused(code)
        return Refused(code, message, retry_after_s=retry_after_s)

    def give_back(self, place: Place) -> None:
        """Free a place. One that was freed already stays so."""
        if place in self._places:
            self._places.remove(place)
            place.account.end_session()

    def begin(
        self,
        place: Place,
        wire: Wire,
        brain: Brain,
        transport: Transport,
        drain: asyncio.Event,
        initial: Sequence[SessionConfig] = (),
        player: Player | None = None,
    ) -> Shell:
        """Make the session of a place, on `wire`. It begins with `run`.

        Its speech goes out on the wire, or is played by `player`. `brain` decides what it says; `transport` names the
        kind of wire. Once `drain` is set, it finishes what it says and ends. `initial` are settings that it starts
        with, applied in order.
        """
        return Shell(
            wire,
            self.engine,
            brain,
            place.runtime,
            self.limits,
            self.metrics.session_meters(transport, place.runtime.sample_rate),
            drain,
            initial,
            self._hearing,
            player,
            place.account,
            self._shares.client(place.client),
            self._recogniser,
        )

    async def run(self, place: Place, shell: Shell) -> None:
        """Run a session to its end, and free its place then."""
        self._running.add(shell)
        try:
            await shell.run()
        finally:
            self._running.discard(shell)
            place.give_back()

    def cut(self) -> None:
        """End all sessions now. Their clients are told."""
        for shell in self:
            shell.cut()


def ready(engine: EngineClient) -> EngineInfo:
    """Return what an engine runs. Raises Refused while it runs nothing."""
    if engine.info is None:
        message = f"The engine is not ready ({engine.stage}); try again shortly."
        raise Refused("engine_not_ready", message, retry_after_s=_NOT_READY_RETRY_S)
    return engine.info
