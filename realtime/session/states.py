"""Defines the states of a session and of a response, and which may follow which. Any other move is a bug and raises."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar


class SessionState(Enum):
    """Names the states of a session.

    It is NEW until it is opened. DRAINING finishes what is being said, and begins no more responses.
    """

    NEW = "new"
    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


class ResponseState(Enum):
    """Names the states of a response.

    QUEUED: none of it is spoken yet. GENERATING: it is being spoken. DRAINING: all of it was generated, and not all of
    it was sent.
    """

    QUEUED = "queued"
    GENERATING = "generating"
    DRAINING = "draining"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Tell whether no other state may follow."""
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
    """Says that a state was entered from one that it may not follow."""


def moved(table: dict[State, frozenset[State]], current: State, new: State) -> State:
    """Return `new`, if `table` allows it after `current`. Raises IllegalTransition if it does not."""
    if new not in table[current]:
        raise IllegalTransition(f"{current.value} -> {new.value}")
    return new
