"""What the server sends. One class per event; every event has its own `event_id`."""

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
    """First event of every session."""

    session: Session


class SessionUpdated(_Event, frozen=True, tag="session.updated"):
    """The whole effective session, after a change."""

    session: Session


class ConversationCreated(_Event, frozen=True, tag="conversation.created"):
    """The session's default conversation; right after session.created."""

    conversation: ConversationShown


class InputCommitted(_Event, frozen=True, tag="input_audio_buffer.committed"):
    """The buffered audio became the user item `item_id`."""

    item_id: str
    previous_item_id: str | None = None


class InputCleared(_Event, frozen=True, tag="input_audio_buffer.cleared"):
    """The buffered audio is forgotten."""


class SpeechStarted(_Event, frozen=True, tag="input_audio_buffer.speech_started"):
    """The user began to speak, `audio_start_ms` after the session's first input audio (what is kept before the first
    sound counted in); what is said will be the item `item_id`."""

    audio_start_ms: int
    item_id: str


class SpeechStopped(_Event, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """The user has stopped, at `audio_end_ms`; the item follows."""

    audio_end_ms: int
    item_id: str


class InputTimeout(_Event, frozen=True, tag="input_audio_buffer.timeout_triggered"):
    """Nobody has spoken for `idle_timeout_ms` since the last response was heard to its end."""

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ItemAdded(_Event, frozen=True, tag="conversation.item.added"):
    """A message joined the conversation after `previous_item_id`."""

    item: Item
    previous_item_id: str | None = None


class ItemDone(_Event, frozen=True, tag="conversation.item.done"):
    """A message is final."""

    item: Item
    previous_item_id: str | None = None


class ItemRetrieved(_Event, frozen=True, tag="conversation.item.retrieved"):
    """A message as it stands."""

    item: Item


class ItemDeleted(_Event, frozen=True, tag="conversation.item.deleted"):
    """A message left the conversation."""

    item_id: str


class ItemTruncated(_Event, frozen=True, tag="conversation.item.truncated"):
    """An assistant message was cut to what was heard."""

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
    """A response began."""

    response: Response


class OutputItemAdded(_Event, frozen=True, tag="response.output_item.added"):
    """The response's message began."""

    response_id: str
    item: Item
    output_index: int = 0


class Part(Struct, frozen=True, tag="audio", tag_field="type"):
    """The speech of a message: here its type is `audio`, as clients expect."""

    transcript: str


class TextPart(Struct, frozen=True, tag="text", tag_field="type"):
    """The written words of a message: here its type is `text`."""

    text: str


class ContentPartAdded(_Event, frozen=True, tag="response.content_part.added"):
    """The message's speech began."""

    response_id: str
    item_id: str
    part: Part | TextPart
    output_index: int = 0
    content_index: int = 0


class AudioDelta(_Event, frozen=True, tag="response.output_audio.delta"):
    """More speech: PCM, base64 in JSON and plain bytes in msgpack."""

    response_id: str
    item_id: str
    delta: bytes
    output_index: int = 0
    content_index: int = 0


class TranscriptDelta(_Event, frozen=True, tag="response.output_audio_transcript.delta"):
    """Words of the speech that follows. voiced adds where they are said, in seconds of the message's audio: exact
    where a clause begins, between that by the length of the words."""

    response_id: str
    item_id: str
    delta: str
    output_index: int = 0
    content_index: int = 0
    start_time: float | UnsetType = UNSET
    end_time: float | UnsetType = UNSET


class AudioDone(_Event, frozen=True, tag="response.output_audio.done"):
    """No more speech."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class TranscriptDone(_Event, frozen=True, tag="response.output_audio_transcript.done"):
    """All words that were spoken."""

    response_id: str
    item_id: str
    transcript: str
    output_index: int = 0
    content_index: int = 0


class OutputTextDelta(_Event, frozen=True, tag="response.output_text.delta"):
    """More written words."""

    response_id: str
    item_id: str
    delta: str
    output_index: int = 0
    content_index: int = 0


class OutputTextDone(_Event, frozen=True, tag="response.output_text.done"):
    """All written words."""

    response_id: str
    item_id: str
    text: str
    output_index: int = 0
    content_index: int = 0


class CallArgumentsDelta(_Event, frozen=True, tag="response.function_call_arguments.delta"):
    """More of a function call's arguments, JSON in pieces."""

    response_id: str
    item_id: str
    call_id: str
    delta: str
    output_index: int = 0


class CallArgumentsDone(_Event, frozen=True, tag="response.function_call_arguments.done"):
    """A function call's arguments are complete."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str
    output_index: int = 0


class ContentPartDone(_Event, frozen=True, tag="response.content_part.done"):
    """The message's speech is final."""

    response_id: str
    item_id: str
    part: Part | TextPart
    output_index: int = 0
    content_index: int = 0


class OutputItemDone(_Event, frozen=True, tag="response.output_item.done"):
    """The response's message is final."""

    response_id: str
    item: Item
    output_index: int = 0


class ResponseDone(_Event, frozen=True, tag="response.done"):
    """The one terminal event of a response."""

    response: Response


class RateLimitsUpdated(_Event, frozen=True, tag="rate_limits.updated"):
    """How many more responses may be asked for at once."""

    rate_limits: list[RateLimit]


class PlayoutStarted(_Event, frozen=True, tag="output_audio_buffer.started"):
    """The first packet of a response's speech went out; only where the server plays (WebRTC)."""

    response_id: str


class PlayoutStopped(_Event, frozen=True, tag="output_audio_buffer.stopped"):
    """The last packet of a response's speech went out."""

    response_id: str


class PlayoutCleared(_Event, frozen=True, tag="output_audio_buffer.cleared"):
    """The rest of a response's speech was taken back: nothing of it follows."""

    response_id: str


class InputTextFlushed(_Event, frozen=True, tag="input_text.flushed"):
    """Everything of this text stream up to one `input_text.flush` has been spoken; its audio came before. voiced's
    own."""

    response_id: str
    stream: str


class Error(_Event, frozen=True, tag="error"):
    """Something the client sent could not be done; the session goes on."""

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
