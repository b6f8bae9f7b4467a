"""Who waits for a session on a full server, and in which place. Pure."""

from __future__ import annotations

import re

_TICKET = re.compile(r"[A-Za-z0-9_-]{8,64}")
_MOST = 256
_ASKS_EVERY_S = 5.0
"""A refusal says `Retry-After: 5`; with what connecting takes, the page asks every 5 to 6.5 s."""

_KEPT_S = 3 * _ASKS_EVERY_S
_RESERVED_S = 2 * _ASKS_EVERY_S


def keeps_a_place(ticket: str) -> bool:
    """Whether a ticket has the form of one: 8 to 64 letters, digits, - and _."""
    return _TICKET.fullmatch(ticket) is not None


class WaitingLine:
    """In the order of arrival. Whoever sends a ticket (a random string of its own making) keeps its place while it asks
    again within 15 s; whoever sends none has the last one each time. A session that may begin is the line's for 10 s:
    then those it was for do not want it, and it is anybody's."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._free_since: list[float] = []
        """Of each session that may begin, the longest free first."""

    def place(self, ticket: str | None, free: int, now: float, *, enters: bool = True) -> int | None:
        """Its place, from 1; None: it may come in, and leaves the line if it `enters`. `free` sessions may begin, `now`
        is in seconds."""
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
        """Whoever came in took what was free the longest. Its age stays what it is when the line changes: tickets that
        take turns at being the first would otherwise reserve it for ever."""
        del self._free_since[: max(0, len(self._free_since) - free)]
        self._free_since += [now] * (free - len(self._free_since))

    def _is_open(self, now: float) -> bool:
        return bool(self._free_since) and now - self._free_since[0] > _RESERVED_S
