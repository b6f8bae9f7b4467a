"""Scope: what a client is told of the user's turns, event by event, and what must hold of it."""

from collections import Counter

from protocol.objects import MessageItem
from protocol.server_events import (
    InputCleared,
    InputCommitted,
    InputTimeout,
    ItemAdded,
    ItemDone,
    ServerEvent,
    SpeechStarted,
    SpeechStopped,
)


class TurnsTold:
    """A turn begins, ends as the same item, and is committed; times never go back."""

    def __init__(self) -> None:
        self.turn: str | None = None  # the item it will be, while the user speaks
        self._at_ms = 0
        self._owed: str | None = None  # the item that is to be committed next
        self._committed: dict[str, str | None] = {}  # to the items before them
        self._added: Counter[str] = Counter()
        self._done: Counter[str] = Counter()

    def forget(self) -> None:
        """The turn under way is none any more."""
        self.turn = None

    def told(self, event: ServerEvent) -> None:
        """The client gets an event."""
        match event:
            case SpeechStarted():
                assert self.turn is None, "a turn within a turn"
                self._pass(event.audio_start_ms)
                self.turn = event.item_id
            case SpeechStopped():
                assert self.turn == event.item_id, "the end of another turn"
                self._pass(event.audio_end_ms)
                self._owe(event.item_id)
                self.turn = None
            case InputTimeout():
                assert self.turn is None, "somebody speaks"
                self._pass(event.audio_start_ms)
                self._pass(event.audio_end_ms)
                self._owe(event.item_id)
            case InputCommitted():
                assert event.item_id not in self._committed, "committed twice"
                assert self._owed in (None, event.item_id), "another item than was announced"
                assert self.turn is None
                self._committed[event.item_id], self._owed = event.previous_item_id, None
            case InputCleared():
                self.forget()
            case ItemAdded(item=MessageItem()) if event.item.id in self._committed:
                assert event.previous_item_id == self._committed[event.item.id]
                self._added[event.item.id] += 1
            case ItemDone(item=MessageItem()) if event.item.id in self._committed:
                assert self._added[event.item.id] == 1, "done before it was added"
                self._done[event.item.id] += 1

    def check_end(self) -> None:
        """Every turn that ended became an item, and each item was announced once."""
        assert self._owed is None
        assert self._added == self._done == Counter(self._committed.keys())

    def _owe(self, item_id: str) -> None:
        assert self._owed is None, "an item that was never committed"
        self._owed = item_id

    def _pass(self, ms: int) -> None:
        assert ms >= self._at_ms, f"back from {self._at_ms} ms to {ms} ms"
        self._at_ms = ms
