"""Holds what the parts of one session share: its surroundings, its conversation, and the effects it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType

from protocol.objects import ErrorBody, Item
from protocol.server_events import Error, ItemAdded, ItemDone
from realtime.access.quotas import Account
from realtime.session.conversation import Conversation
from realtime.session.messages import DropContext, Effect, Send
from realtime.session.playback import CLIENT_PLAYS, Playback
from realtime.session.settings import Runtime, Settings


@dataclass(frozen=True)
class Limits:
    """Bounds what one session may hold, and how long it waits."""

    max_clip_s: float = 30.0
    max_clips_s: float = 120.0  # all clips of a conversation together; as much again of recordings
    max_input_s: float = 300.0  # audio in the input buffer
    max_item_chars: int = 20_000
    max_session_s: float = 3600.0
    max_out_of_band: int = 16  # responses beside the conversation's own
    text_patience_s: float = 1.5  # streamed words wait this long for the end of their sentence
    text_idle_s: float = 60.0  # a text stream is ended when no words have come for this long


@dataclass
class Shared:
    """Holds what the parts of one session share.

    `new_id(prefix)` gives unique ids. `now` is the time of the input being handled, in seconds. `playback` says how the
    speech is played. `account` counts what the client's key uses. `out` are the effects asked for so far.
    `contexts_in_use` are the ids of contexts that a response speaks in, `awaiting_words` those of items whose words are
    being recognised.
    """

    runtime: Runtime
    limits: Limits
    new_id: Callable[[str], str]
    now: float
    settings: Settings
    conversation_id: str
    context_id: str
    playback: Playback = CLIENT_PLAYS
    account: Account = field(default_factory=Account)
    conversation: Conversation = field(default_factory=Conversation)
    out: list[Effect] = field(default_factory=list)
    contexts_in_use: set[str] = field(default_factory=set)
    awaiting_words: set[str] = field(default_factory=set)

    def send(self, kind: type[Any], **fields: Any) -> None:
        """Ask for an event of the class `kind` to be sent."""
        self.out.append(Send(kind(event_id=self.new_id("event_"), **fields)))

    def error(self, code: str, message: str, param: str | None, event_id: str | UnsetType | None) -> None:
        """Ask for an error about the client's event `event_id` to be sent."""
        body = ErrorBody("invalid_request_error", code, message, param, None if event_id is UNSET else event_id)
        self.send(Error, error=body)

    def announce(self, item: Item, previous: str | None) -> None:
        """Ask for the client to be told of an item that is whole at once, and follows the item `previous`."""
        self.send(ItemAdded, item=item, previous_item_id=previous)
        self.send(ItemDone, item=item, previous_item_id=previous)

    def renew_context(self) -> None:
        """Begin a new context, because what comes before the speech has changed.

        What was spoken in the old context no longer fits. A response under way keeps its own context to its end.
        """
        if self.context_id not in self.contexts_in_use:
            self.out.append(DropContext(self.context_id))
        self.context_id = self.new_id("ctx_")

    def take(self) -> list[Effect]:
        """Return the effects asked for so far, each of them once."""
        out, self.out = self.out, []
        return out
