"""Defines the events that the server sends, one class each. Every event has its own `event_id`."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from protocol.objects import (
    ConversationShown,
    DurationUsage,
    ErrorBody,
    Item,
    RateLimit,
    Response,
    ResponseError,
    Session,
)


class _Event(Struct, frozen=True, tag_field="type", kw_only=True):
    event_id: str


class SessionCreated(_Event, frozen=True, tag="session.created"):
    """Opens every session: it is the first event."""

    session: Session


class SessionUpdated(_Event, frozen=True, tag="session.updated"):
    """Shows the whole effective session, after a change."""

    session: Session


class ConversationCreated(_Event, frozen=True, tag="conversation.created"):
    """Shows the session's default conversation, right after session.created."""

    conversation: ConversationShown


class InputCommitted(_Event, frozen=True, tag="input_audio_buffer.committed"):
    """Says that the buffered audio became the user item `item_id`."""

    item_id: str
    previous_item_id: str | None = None


class InputCleared(_Event, frozen=True, tag="input_audio_buffer.cleared"):
    """Says that the buffered audio was dropped."""


class SpeechStarted(_Event, frozen=True, tag="input_audio_buffer.speech_started"):
    """Says that the user began to speak. What is said will be the item `item_id`.

    `audio_start_ms` is where the turn's audio begins, from the session's first input audio on. It lies before the first
    sound by the audio that is kept from before it.
    """

    audio_start_ms: int
    item_id: str


class SpeechStopped(_Event, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """Says that the user has stopped, at `audio_end_ms`; the item follows."""

    audio_end_ms: int
    item_id: str


class InputTimeout(_Event, frozen=True, tag="input_audio_buffer.timeout_triggered"):
    """Says that nobody has spoken for `idle_timeout_ms` since the last response was heard to its end."""

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ItemAdded(_Event, frozen=True, tag="conversation.item.added"):
    """Says that an item joined the conversation after `previous_item_id`."""

    item: Item
    previous_item_id: str | None = None


class ItemDone(_Event, frozen=True, tag="conversation.item.done"):
    """Says that an item is final."""

    item: Item
    previous_item_id: str | None = None


class ItemRetrieved(_Event, frozen=True, tag="conversation.item.retrieved"):
    """Shows an item as it stands."""

    item: Item


class ItemDeleted(_Event, frozen=True, tag="conversation.item.deleted"):
    """Says that an item left the conversation."""

    item_id: str


class ItemTruncated(_Event, frozen=True, tag="conversation.item.truncated"):
    """Says that an assistant message was cut to what was heard."""

    item_id: str
    audio_end_ms: int
    content_index: int = 0


class InputTranscriptionDelta(_Event, frozen=True, tag="conversation.item.input_audio_transcription.delta"):
    """More words of what the user said in this item: they are sure, and only ever added to."""

    item_id: str
    delta: str
    content_index: int = 0


class InputTranscriptionCompleted(_Event, frozen=True, tag="conversation.item.input_audio_transcription.completed"):
    """What the user said in this item. It may differ from the words that came before as deltas; this is how it was."""

    item_id: str
    transcript: str
    usage: DurationUsage
    content_index: int = 0


class InputTranscriptionFailed(_Event, frozen=True, tag="conversation.item.input_audio_transcription.failed"):
    """The item has no words: nothing was heard in it, or nothing can be; `error.message` says why."""

    item_id: str
    error: ResponseError
    content_index: int = 0


class ResponseCreated(_Event, frozen=True, tag="response.created"):
    """Says that a response began."""

    response: Response


class OutputItemAdded(_Event, frozen=True, tag="response.output_item.added"):
    """Says that an item of the response began."""

    response_id: str
    item: Item
    output_index: int = 0


class Part(Struct, frozen=True, tag="audio", tag_field="type"):
    """Shows the speech of a message. Its type is `audio` here, as clients expect."""

    transcript: str


class TextPart(Struct, frozen=True, tag="text", tag_field="type"):
    """Shows the written words of a message. Its type is `text` here."""

    text: str


class ContentPartAdded(_Event, frozen=True, tag="response.content_part.added"):
    """Says that the message's speech, or its text, began."""

    response_id: str
    item_id: str
    part: Part | TextPart
    output_index: int = 0
    content_index: int = 0


class AudioDelta(_Event, frozen=True, tag="response.output_audio.delta"):
    """Carries more speech: PCM, base64 in JSON and plain bytes in msgpack."""

    response_id: str
    item_id: str
    delta: bytes
    output_index: int = 0
    content_index: int = 0


class TranscriptDelta(_Event, frozen=True, tag="response.output_audio_transcript.delta"):
    """Carries words of the speech that follows.

    voiced adds when they are said, in seconds of the message's audio. The times are exact where a clause begins;
    between that they follow the length of the words.
    """

    response_id: str
    item_id: str
    delta: str
    output_index: int = 0
    content_index: int = 0
    start_time: float | UnsetType = UNSET
    end_time: float | UnsetType = UNSET


class AudioDone(_Event, frozen=True, tag="response.output_audio.done"):
    """Says that no more speech of the message comes."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class TranscriptDone(_Event, frozen=True, tag="response.output_audio_transcript.done"):
    """Carries all words that were spoken."""

    response_id: str
    item_id: str
    transcript: str
    output_index: int = 0
    content_index: int = 0


class OutputTextDelta(_Event, frozen=True, tag="response.output_text.delta"):
    """Carries more written words."""

    response_id: str
    item_id: str
    delta: str
    output_index: int = 0
    content_index: int = 0


class OutputTextDone(_Event, frozen=True, tag="response.output_text.done"):
    """Carries all written words."""

    response_id: str
    item_id: str
    text: str
    output_index: int = 0
    content_index: int = 0


class CallArgumentsDelta(_Event, frozen=True, tag="response.function_call_arguments.delta"):
    """Carries more of a function call's arguments, JSON in pieces."""

    response_id: str
    item_id: str
    call_id: str
    delta: str
    output_index: int = 0


class CallArgumentsDone(_Event, frozen=True, tag="response.function_call_arguments.done"):
    """Carries a function call's complete arguments."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str
    output_index: int = 0


class ContentPartDone(_Event, frozen=True, tag="response.content_part.done"):
    """Says that the message's speech, or its text, is final."""

    response_id: str
    item_id: str
    part: Part | TextPart
    output_index: int = 0
    content_index: int = 0


class OutputItemDone(_Event, frozen=True, tag="response.output_item.done"):
    """Says that an item of the response is final."""

    response_id: str
    item: Item
    output_index: int = 0


class ResponseDone(_Event, frozen=True, tag="response.done"):
    """Ends a response: it is its one terminal event."""

    response: Response


class RateLimitsUpdated(_Event, frozen=True, tag="rate_limits.updated"):
    """Tells how many more responses may be asked for at once."""

    rate_limits: list[RateLimit]


class PlayoutStarted(_Event, frozen=True, tag="output_audio_buffer.started"):
    """Says that the first packet of a response's speech went out; only where the server plays (WebRTC)."""

    response_id: str


class PlayoutStopped(_Event, frozen=True, tag="output_audio_buffer.stopped"):
    """Says that the last packet of a response's speech went out."""

    response_id: str


class PlayoutCleared(_Event, frozen=True, tag="output_audio_buffer.cleared"):
    """Says that the rest of a response's speech was taken back: nothing of it follows."""

    response_id: str


class InputTextFlushed(_Event, frozen=True, tag="input_text.flushed"):
    """Says that everything of this text stream up to one `input_text.flush` has been spoken; its audio came before.

    voiced's own.
    """

    response_id: str
    stream: str


class Error(_Event, frozen=True, tag="error"):
    """Says that something the client sent could not be done; the session goes on."""

    error: ErrorBody


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | ConversationCreated
    | InputCommitted
    | InputCleared
    | SpeechStarted
    | SpeechStopped
    | InputTimeout
    | ItemAdded
    | ItemDone
    | ItemRetrieved
    | ItemDeleted
    | ItemTruncated
    | InputTranscriptionDelta
    | InputTranscriptionCompleted
    | InputTranscriptionFailed
    | ResponseCreated
    | OutputItemAdded
    | ContentPartAdded
    | AudioDelta
    | TranscriptDelta
    | AudioDone
    | TranscriptDone
    | OutputTextDelta
    | OutputTextDone
    | CallArgumentsDelta
    | CallArgumentsDone
    | ContentPartDone
    | OutputItemDone
    | ResponseDone
    | RateLimitsUpdated
    | PlayoutStarted
    | PlayoutStopped
    | PlayoutCleared
    | InputTextFlushed
    | Error
)
