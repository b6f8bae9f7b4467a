"""Keeps who waits for a session on a full server, and in which place. Pure."""

from __future__ import annotations

import re

_TICKET = re.compile(r"[A-Za-z0-9_-]{8,64}")
_MOST = 256
_ASKS_EVERY_S = 5.0
"""How often a client that waits asks, in seconds. A refusal says `Retry-After: 5`; with what connecting takes, the page
asks every 5 to 6.5 s."""

_KEPT_S = 3 * _ASKS_EVERY_S
_RESERVED_S = 2 * _ASKS_EVERY_S


def keeps_a_place(ticket: str) -> bool:
    """Tell whether a ticket has the form that keeps a place: 8 to 64 letters, digits, - and _."""
    return _TICKET.fullmatch(ticket) is not None


class WaitingLine:
    """Keeps those who wait in the order of their arrival.

    Whoever sends a ticket (a random string of its own making) keeps its place while it asks again within 15 s. Whoever
    sends none gets the last place each time. A session that may begin is kept for those first in line for 10 s. If they
    have not come by then, they do not want it, and anybody may have it.
    """

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._free_since: list[float] = []
        """Since when each session that may begin is free, the longest first."""

    def place(self, ticket: str | None, free: int, now: float, *, enters: bool = True) -> int | None:
        """Return the place in line of whoever asks, from 1; None says that it may come in.

        Who may come in leaves the line if it `enters`, and otherwise keeps its place. `free` is how many sessions may
        begin; `now` is in seconds.
        """
        self._seen = {other: seen for other, seen in self._seen.items() if now - seen <= _KEPT_S}
        self._note_free(max(0, free), now)
        before = self._before(ticket)
        if before < free or self._is_open(now):
            if ticket is not None and ticket in self._seen:
                if enters:
                    del self._seen[ticket]
                else:
                    self._seen[ticket] = now
            return None
        if ticket is not None and keeps_a_place(ticket) and (ticket in self._seen or before < _MOST):
            self._seen[ticket] = now
        return before + 1

    def _before(self, ticket: str | None) -> int:
        return list(self._seen).index(ticket) if ticket in self._seen else len(self._seen)

    def _note_free(self, free: int, now: float) -> None:
        """Note how many sessions are free. Whoever came in took the one that was free the longest.

        The age of a free session does not change with the line. Otherwise tickets that take turns at being the first
        would reserve it for ever.
        """
        del self._free_since[: max(0, len(self._free_since) - free)]
        self._free_since += [now] * (free - len(self._free_since))

    def _is_open(self, now: float) -> bool:
        return bool(self._free_since) and now - self._free_since[0] > _RESERVED_S
