"""Jobs that wait for the recogniser: the text of turns that are over first, then of those that may be, then of those
that go on. Pure."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar, get_args

from realtime.recognition.recogniser import Kind

MOST_OF_A_KIND = 8

_T = TypeVar("_T")


class Waiting(Generic[_T]):
    """A queue with a row for each kind, oldest first, and a bound on each."""

    def __init__(self) -> None:
        self._rows: dict[Kind, deque[_T]] = {kind: deque() for kind in get_args(Kind)}

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def add(self, kind: Kind, job: _T) -> bool:
        """Put a job at the end of its row; False if the row is full."""
        row = self._rows[kind]
        if len(row) >= MOST_OF_A_KIND:
            return False
        row.append(job)
        return True

    def give_back(self, kind: Kind, job: _T) -> None:
        """Put a job that was taken back in front of its row."""
        self._rows[kind].appendleft(job)

    def drop(self, kind: Kind, job: _T) -> None:
        """Nobody waits for this job any more. One that is not here is fine."""
        if job in self._rows[kind]:
            self._rows[kind].remove(job)

    def take(self) -> _T | None:
        """The job that is next, which does not wait any more; None if none does."""
        return next((row.popleft() for row in self._rows.values() if row), None)
