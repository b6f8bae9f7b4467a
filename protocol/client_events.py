"""What a client may send. One class per event; `event_id` is the client's own and is echoed in errors."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from protocol.objects import Identifier, NewItem, ResponseConfig, SessionConfig

EventId = Annotated[str, Meta(max_length=512)] | UnsetType


class _Event(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    event_id: EventId = UNSET


class SessionUpdate(_Event, frozen=True, tag="session.update"):
    """Change settings; only what is present changes."""

    session: SessionConfig


class ItemCreate(_Event, frozen=True, tag="conversation.item.create"):
    """Add a message after `previous_item_id` ("root": at the start; absent: at the end)."""

    item: NewItem
    previous_item_id: Identifier | None = None


class ItemRetrieve(_Event, frozen=True, tag="conversation.item.retrieve"):
    """Ask for a message as it stands."""

    item_id: Identifier


class ItemDelete(_Event, frozen=True, tag="conversation.item.delete"):
    """Take a message out of the conversation."""

    item_id: Identifier


class ItemTruncate(_Event, frozen=True, tag="conversation.item.truncate"):
    """Say how much of an assistant message was heard, in milliseconds."""

    item_id: Identifier
    audio_end_ms: Annotated[int, Meta(ge=0, le=2**40)]
    content_index: Annotated[int, Meta(ge=0, le=0)] = 0


class ResponseCreate(_Event, frozen=True, tag="response.create"):
    """Ask for a response."""

    response: ResponseConfig | UnsetType = UNSET


class ResponseCancel(_Event, frozen=True, tag="response.cancel"):
    """Stop the live response (or the one named)."""

    response_id: Identifier | UnsetType = UNSET


ClientEvent = SessionUpdate | ItemCreate | ItemRetrieve | ItemDelete | ItemTruncate | ResponseCreate | ResponseCancel
