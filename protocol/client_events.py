"""Defines the events that a client may send, one class each.

`event_id` is the client's own and is echoed in errors.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from protocol.objects import Identifier, NewItem, ResponseConfig, SessionConfig, StreamName

EventId = Annotated[str, Meta(max_length=512)] | UnsetType


class _Event(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    event_id: EventId = UNSET


class SessionUpdate(_Event, frozen=True, tag="session.update"):
    """Changes settings; only what is present changes."""

    session: SessionConfig


class InputAudioAppend(_Event, frozen=True, tag="input_audio_buffer.append"):
    """Adds to what the user says, in the session's input format. Nothing answers it."""

    audio: bytes


class InputAudioCommit(_Event, frozen=True, tag="input_audio_buffer.commit"):
    """Makes the buffered audio a user item."""


class InputAudioClear(_Event, frozen=True, tag="input_audio_buffer.clear"):
    """Drops the buffered audio."""


class OutputAudioClear(_Event, frozen=True, tag="output_audio_buffer.clear"):
    """Silences what the server is playing (only where the server owns the playout: WebRTC, SIP)."""


class ItemCreate(_Event, frozen=True, tag="conversation.item.create"):
    """Adds an item after `previous_item_id` ("root": at the start; absent: at the end)."""

    item: NewItem
    previous_item_id: Identifier | None = None


class ItemRetrieve(_Event, frozen=True, tag="conversation.item.retrieve"):
    """Asks for a message as it stands."""

    item_id: Identifier


class ItemDelete(_Event, frozen=True, tag="conversation.item.delete"):
    """Takes a message out of the conversation."""

    item_id: Identifier


class ItemTruncate(_Event, frozen=True, tag="conversation.item.truncate"):
    """Says how much of an assistant message was heard, in milliseconds."""

    item_id: Identifier
    audio_end_ms: Annotated[int, Meta(ge=0, le=2**40)]
    content_index: Annotated[int, Meta(ge=0, le=0)] = 0


class ResponseCreate(_Event, frozen=True, tag="response.create"):
    """Asks for a response."""

    response: ResponseConfig | UnsetType = UNSET


class ResponseCancel(_Event, frozen=True, tag="response.cancel"):
    """Stops the live response (or the one named)."""

    response_id: Identifier | UnsetType = UNSET


class InputTextAppend(_Event, frozen=True, tag="input_text.append"):
    """Adds words to speak to the stream with this name. The first words open a response for it. voiced's own."""

    text: Annotated[str, Meta(max_length=65536)]
    stream: StreamName = ""


class InputTextFlush(_Event, frozen=True, tag="input_text.flush"):
    """Asks to speak what has come so far, without waiting for the end of a sentence. voiced's own.

    `input_text.flushed` follows its audio.
    """

    stream: StreamName = ""


class InputTextEnd(_Event, frozen=True, tag="input_text.end"):
    """Says that there are no more words: the response ends when all is spoken. voiced's own."""

    stream: StreamName = ""


ClientEvent = (
    SessionUpdate
    | InputAudioAppend
    | InputAudioCommit
    | InputAudioClear
    | OutputAudioClear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
    | InputTextAppend
    | InputTextFlush
    | InputTextEnd
)
