"""Decides who may have another voice of the engine, so that one client cannot hold them all while others wait. Pure.

An engine refuses at once when all its slots are taken: nobody queues there. So a client that was refused lately is
taken to wait. While another client waits, one that holds its even share of the slots begins no further response; what
it speaks already goes on.
"""

from __future__ import annotations

import itertools
from collections import Counter

_WAITS_S = 10.0
"""For how many seconds a client that was refused is taken to wait: it will probably ask again."""

_MOST_WAITING = 256


class SlotShares:
    """Counts which client holds how many voices of one engine, and which clients wait for one."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._refused: dict[str, float] = {}
        self._unnamed = itertools.count(1)

    def client(self, name: str = "") -> Share:
        """Return a share of the client `name`, for one session. Without a name, every call is for another client."""
        return Share(self, name or f"\0{next(self._unnamed)}")

    def may_begin(self, client: str, slots: int, now: float) -> bool:
        """Tell whether a client may begin another response at `now`, in seconds.

        `slots` is how many voices the engine has.
        """
        self._refused = {other: at for other, at in self._refused.items() if now - at < _WAITS_S}
        waiting = self._refused.keys() - {client}
        if not waiting:
            return True
        clients = len(self._held.keys() | waiting | {client})
        return self._held[client] < max(1, slots // clients)

    def hold(self, client: str, more: int) -> None:
        """Count `more` voices that a client holds; a negative number gives them back."""
        self._held[client] += more
        if self._held[client] <= 0:
            del self._held[client]

    def note_refused(self, client: str, now: float) -> None:
        """Remember that a client wanted a voice and got none."""
        if client in self._refused or len(self._refused) < _MOST_WAITING:
            self._refused[client] = now

    def note_served(self, client: str) -> None:
        """Forget that a client waits: it has got a voice."""
        self._refused.pop(client, None)


class Share:
    """Keeps one session's part in its client's share: the responses that it has begun, each of which holds a voice."""

    def __init__(self, shares: SlotShares, client: str) -> None:
        self._shares = shares
        self._client = client
        self._responses: set[str] = set()

    def may_begin(self, response_id: str, slots: int, now: float) -> bool:
        """Tell whether a response may be spoken at `now`, in seconds. One that has begun may go on.

        A response that may be spoken holds a voice from now on; a refusal is remembered.
        """
        if response_id in self._responses:
            return True
        if not self._shares.may_begin(self._client, slots, now):
            self._shares.note_refused(self._client, now)
            return False
        self._responses.add(response_id)
        self._shares.hold(self._client, 1)
        return True

    def served(self) -> None:
        """Note that the engine speaks for this client."""
        self._shares.note_served(self._client)

    def note_refused(self, response_id: str, now: float) -> None:
        """Note that the engine had no voice for a response."""
        self._shares.note_refused(self._client, now)
        self.end(response_id)

    def end(self, response_id: str) -> None:
        """Give back the voice of a response. Unknown ids are ignored."""
        if response_id in self._responses:
            self._responses.remove(response_id)
            self._shares.hold(self._client, -1)

    def close(self) -> None:
        """Give back all voices of a session that is over."""
        for response_id in list(self._responses):
            self.end(response_id)
