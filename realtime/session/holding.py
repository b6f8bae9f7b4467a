"""Holds the engine back from a listener that does not take what is made for it, and lets it go on."""

from __future__ import annotations

from msgspec import UNSET

from realtime.session.messages import HoldClause
from realtime.session.response import LiveResponse
from realtime.session.responses import Responses
from realtime.session.shared import Shared

_LONGEST_HOLD_S = 60.0
"""How long a clause may be held, in seconds. A listener that takes next to nothing for longer keeps a voice of the
engine from everybody else, so its session is ended."""


class Holding:
    """Decides which running clauses are held. `stalled` says that the client has stopped taking what was sent."""

    def __init__(self, shared: Shared, responses: Responses) -> None:
        self._shared = shared
        self._responses = responses
        self.stalled = False

    def regulate(self) -> None:
        """Hold the clauses that run too far ahead of their listener, and let the others go on."""
        for live in self._responses.all:
            running = live.running
            if running is None:
                continue
            before = running.held_since is not None
            held = self.stalled or live.playout.unsent_s > self._bound_s(live, held=before)
            if held != before:
                running.held_since = self._shared.now if held else None
                self._shared.out.append(HoldClause(running.id, held))

    @property
    def overdue(self) -> bool:
        """Tell whether a clause was held for too long."""
        now, clauses = self._shared.now, [live.running for live in self._responses.all]
        held = [one.held_since for one in clauses if one is not None and one.held_since is not None]
        return bool(held) and now - min(held) > _LONGEST_HOLD_S

    def _bound_s(self, live: LiveResponse, *, held: bool) -> float:
        asked = live.settings.generation.max_lead_s
        lead_s = self._shared.runtime.max_lead_s if asked is UNSET else asked
        return self._shared.playback.most_unsent_s(lead_s, held=held)
