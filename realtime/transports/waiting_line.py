"""Who waits for a session on a full server, and in which place. Pure."""

from __future__ import annotations

import re

_TICKET = re.compile(r"[A-Za-z0-9_-]{8,64}")
_KEPT_S = 15.0
_MOST = 256


class WaitingLine:
    """In the order of arrival. Whoever sends a ticket (a random string of its own making) keeps its place while it asks
    again within 15 s; whoever sends none has the last one each time."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def place(self, ticket: str | None, free: int, now: float) -> int | None:
        """Its place, from 1; None: it may come in, and leaves the line. `free` sessions may begin, `now` is in
        seconds."""
        self._seen = {other: seen for other, seen in self._seen.items() if now - seen <= _KEPT_S}
        if ticket is None or not _TICKET.fullmatch(ticket):
            before = len(self._seen)
        elif ticket in self._seen:
            before = list(self._seen).index(ticket)
            self._seen[ticket] = now
        else:
            before = len(self._seen)
            if before >= free and before < _MOST:
                self._seen[ticket] = now
        if before >= free:
            return before + 1
        if ticket is not None:
            self._seen.pop(ticket, None)
        return None
