"""Follows whose speech is heard where the server plays, also after its response is over, and what was heard of it.

The client is told from here when a response's speech starts and stops, and how far it came where it was cut.
"""

from __future__ import annotations

from protocol import server_events as server
from realtime.session.conversation import with_words
from realtime.session.messages import DropAudio
from realtime.session.response import LiveResponse
from realtime.session.shared import Shared


class StillPlaying:
    """Keeps the responses with speech that has not all gone out. There are none where the client plays."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._playing: dict[str, LiveResponse] = {}

    @property
    def all(self) -> list[LiveResponse]:
        """List the responses, in the order in which they are heard."""
        return list(self._playing.values())

    def lead(self, live: LiveResponse) -> float:
        """Tell in how many seconds the listener needs more of a response. What is played before it counts too."""
        now = self._shared.now
        return live.playout.lead(now) + sum(other.playout.lead(now) for other in self.all if other is not live)

    def of(self, item_id: str) -> LiveResponse | None:
        """Find the response whose message is `item_id`, while it is played."""
        return next((live for live in self.all if live.item is not None and live.item.id == item_id), None)

    def add(self, live: LiveResponse) -> None:
        """Note that there is speech of a response to be played."""
        if self._shared.playback.by_server:
            self._playing[live.id] = live

    def played(self, response_id: str, samples: int) -> None:
        """Note that `samples` more of a response went out."""
        live = self._playing.get(response_id)
        if live is None or not samples:
            return
        if not live.playout.played(self._shared.now):
            self._shared.send(server.PlayoutStarted, response_id=live.id)
        live.playout.play(samples)
        self.settle(live)

    def settle(self, live: LiveResponse) -> None:
        """Tell the client that a response's speech stopped, if the response is over and all of it has gone out."""
        if not live.state.terminal or live.playout.left < live.playout.generated:
            return
        if self._playing.pop(live.id, None) is not None:
            self._shared.send(server.PlayoutStopped, response_id=live.id)

    def forget(self, live: LiveResponse) -> bool:
        """Play no more of a response; return whether something was still to be played."""
        return self._playing.pop(live.id, None) is not None

    def tell_cleared(self, live: LiveResponse) -> None:
        """Tell the client that the rest of a response's speech was taken back."""
        self._shared.send(server.PlayoutCleared, response_id=live.id)

    def tell_played(self, live: LiveResponse) -> None:
        """Tell the client how much of a response's message was played, since the server played it."""
        if live.entry is None or live.entry not in self._shared.conversation.entries:
            return
        played = live.playout.played(self._shared.now) if live.entry.played is None else live.entry.played
        played_ms = played * 1000 // self._shared.runtime.sample_rate
        self._shared.send(server.ItemTruncated, item_id=live.entry.item.id, audio_end_ms=played_ms)

    def take_back(self, live: LiveResponse) -> None:
        """Take back the rest of the speech of a response that is over, and cut its message to what was played."""
        self._shared.out.append(DropAudio(live.id))
        if self.forget(live):
            self.tell_cleared(live)
        entry = live.entry
        if entry is not None and live.item is not None:
            if entry.played is None:
                entry.played = live.playout.played(self._shared.now)
            entry.item = with_words(live.item, live.playout.played_text(entry.played), live.item.status)
        self.tell_played(live)
