"""The states of a session and of a response, and which may follow which. Anything else is a bug and raises."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar


class SessionState(Enum):
    """NEW until opened; DRAINING finishes what it says and takes no more."""

    NEW = "new"
    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


class ResponseState(Enum):
    """QUEUED: no words yet. GENERATING: being spoken. DRAINING: all of it generated, not all of it sent."""

    QUEUED = "queued"
    GENERATING = "generating"
    DRAINING = "draining"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Nothing follows."""
        return not RESPONSE_MOVES[self]


_ENDS = frozenset({ResponseState.CANCELLED, ResponseState.FAILED})

RESPONSE_MOVES: dict[ResponseState, frozenset[ResponseState]] = {
    ResponseState.QUEUED: frozenset({ResponseState.GENERATING, ResponseState.DRAINING}) | _ENDS,
    ResponseState.GENERATING: frozenset({ResponseState.DRAINING}) | _ENDS,
    ResponseState.DRAINING: frozenset({ResponseState.DONE}) | _ENDS,
    ResponseState.DONE: frozenset(),
    ResponseState.CANCELLED: frozenset(),
    ResponseState.FAILED: frozenset(),
}

SESSION_MOVES: dict[SessionState, frozenset[SessionState]] = {
    SessionState.NEW: frozenset({SessionState.OPEN, SessionState.CLOSED}),
    SessionState.OPEN: frozenset({SessionState.DRAINING, SessionState.CLOSED}),
    SessionState.DRAINING: frozenset({SessionState.CLOSED}),
    SessionState.CLOSED: frozenset(),
}

State = TypeVar("State", SessionState, ResponseState)


class IllegalTransition(RuntimeError):
    """A state was entered from where it cannot be reached."""


def moved(table: dict[State, frozenset[State]], current: State, new: State) -> State:
    """`new`, if the table allows it after `current`."""
    if new not in table[current]:
        raise IllegalTransition(f"{current.value} -> {new.value}")
    return new
