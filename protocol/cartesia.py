"""Defines Cartesia's protocol at `/tts/websocket`: words stream in and speech streams out, as its clients speak it.

A *context* is one utterance whose words may come in pieces; several share a connection. The first message of a context
says how it is spoken, further ones add words, one with `continue` false (or absent) has the last of them. What cannot
be honoured is refused by name. Two fields are taken and make no difference here: `model_id` (the checkpoint that runs
answers) and `language` (it follows from the words).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.encodings import BadMessage
from protocol.faults import bad_syntax, explained, refused
from protocol.objects import ErrorBody, Identifier, RawFormat, Speed

MAX_TRANSCRIPT_CHARS = 20_000

ContextId = Annotated[str, Meta(min_length=1, max_length=256)]
_Emotion = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z /-]{0,39}$")]

_HINTS = {
    "context_id": "Name the utterance with 1 to 256 characters; messages with the same name belong together.",
    "transcript": f"Send the words to speak, at most {MAX_TRANSCRIPT_CHARS} characters of text; '' is allowed.",
    "continue": "Send true if more words of this context follow, false with the last of them.",
    "flush": "Send true to have what has come so far spoken now.",
    "cancel": "Send true to stop this context.",
    "voice": "Send {'mode': 'id', 'id': a voice's name}; GET /v1/audio/voices lists them.",
    "output_format": "Send {'container': 'raw', 'encoding': …, 'sample_rate': …}.",
    "output_format.container": "Only 'raw' is served: bare samples.",
    "output_format.encoding": "Encodings are pcm_s16le, pcm_f32le, pcm_mulaw and pcm_alaw.",
    "output_format.sample_rate": "Rates are 8000, 16000, 22050, 24000, 44100 and 48000.",
    "generation_config": "Send {'speed': …, 'emotion': …}.",
    "generation_config.speed": "Send a number from 0.25 to 4.",
    "generation_config.volume": "The volume cannot be changed here; leave it out or send 1.",
    "generation_config.emotion": "Send one word for how the speaker feels, in Latin letters.",
    "speed": "Send 'slow', 'normal' or 'fast', or a number as generation_config.speed.",
    "max_buffer_delay_ms": "Send a whole number of milliseconds from 0 to 5000.",
    "add_timestamps": "Send true to be told where each word is said.",
    "add_phoneme_timestamps": "Only words are timed here; leave it out and send add_timestamps.",
    "use_normalized_timestamps": "Words are timed as they were sent; leave it out.",
    "pronunciation_dict_id": "There are no pronunciation dictionaries here; leave it out.",
    "model_id": "Send a name as text; whichever checkpoint runs here answers.",
    "language": "Send a language's code as text.",
}

_SPEEDS = {"slow": 0.8, "normal": 1.0, "fast": 1.25}


class VoiceSpecifier(Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for a voice by name; null leaves the choice to the server."""

    id: Identifier | None
    mode: Literal["id"] = "id"


class OutputFormat(Struct, frozen=True, forbid_unknown_fields=True):
    """Describes the samples a client wants."""

    encoding: Literal["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]
    container: Literal["raw"] = "raw"


class GenerationConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how the words are spoken: `speed` as a factor, `emotion` in a word. A `volume` other than 1 is refused."""

    speed: Speed | None = None
    emotion: _Emotion | None = None
    volume: Annotated[float, Meta(ge=1, le=1)] | None = None


class Generate(Struct, frozen=True, forbid_unknown_fields=True):
    """Sends words of a context.

    `max_buffer_delay_ms` 0 says that each message is spoken as it is, whether a sentence ends there or not. Null is as
    good as absent.
    """

    context_id: ContextId
    transcript: Annotated[str, Meta(max_length=MAX_TRANSCRIPT_CHARS)]
    output_format: OutputFormat
    voice: VoiceSpecifier | Identifier | None = None
    more: bool | None = msgspec.field(name="continue", default=None)
    flush: bool | None = None
    cancel: Literal[False] | None = None
    generation_config: GenerationConfig | None = None
    speed: Literal["slow", "normal", "fast"] | None = None
    max_buffer_delay_ms: Annotated[int, Meta(ge=0, le=5000)] | None = None
    add_timestamps: bool | None = None
    add_phoneme_timestamps: Literal[False] | None = None
    use_normalized_timestamps: Literal[False] | None = None
    pronunciation_dict_id: None = None
    model_id: Annotated[str, Meta(max_length=256)] | None = None
    language: Annotated[str, Meta(max_length=64)] | None = None

    @property
    def voice_name(self) -> str | None:
        """Return the voice asked for; None leaves the choice to the server."""
        return self.voice.id if isinstance(self.voice, VoiceSpecifier) else self.voice

    @property
    def raw_format(self) -> RawFormat:
        """Return the format of the samples asked for."""
        return RawFormat(self.output_format.encoding, self.output_format.sample_rate)

    @property
    def speaking_rate(self) -> float:
        """Return how fast the words are spoken, as a factor."""
        if self.generation_config is not None and self.generation_config.speed is not None:
            return self.generation_config.speed
        return _SPEEDS[self.speed or "normal"]

    @property
    def patience_s(self) -> float | None:
        """Return how many seconds words may wait for the end of their sentence; None leaves that to the server."""
        return None if self.max_buffer_delay_ms is None else self.max_buffer_delay_ms / 1000

    @property
    def emotion(self) -> str:
        """Return how the speaker feels, in lower case; empty where the client says nothing about it."""
        said = None if self.generation_config is None else self.generation_config.emotion
        return (said or "").lower()

    @property
    def flushes(self) -> bool:
        """Tell whether what has come is to be spoken without waiting for more."""
        at_once = self.max_buffer_delay_ms == 0 and bool(self.more) and bool(self.transcript.strip())
        return bool(self.flush) or at_once


class Cancel(Struct, frozen=True):
    """Stops a context: nothing more is sent for it. Other fields of the message are ignored."""

    context_id: ContextId
    cancel: Literal[True]


class Chunk(Struct, frozen=True, tag="chunk", tag_field="type"):
    """Carries more speech: samples in the context's format.

    `step_time` is the milliseconds since the samples before.
    """

    context_id: str
    data: bytes
    step_time: float
    flush_id: int
    status_code: int = 206
    done: bool = False


class WordTimes(Struct, frozen=True):
    """Lists words and when they are said, in seconds of the context's speech."""

    words: list[str]
    start: list[float]
    end: list[float]


class Timestamps(Struct, frozen=True, tag="timestamps", tag_field="type"):
    """Tells when words of the speech that follows are said."""

    context_id: str
    word_timestamps: WordTimes
    flush_id: int
    status_code: int = 206
    done: bool = False


class FlushDone(Struct, frozen=True, tag="flush_done", tag_field="type"):
    """Says that all words up to the `flush_id`-th flush of the context have been spoken.

    Chunks and timestamps of these words carried the same number.
    """

    context_id: str
    flush_id: int
    flush_done: bool = True
    status_code: int = 206
    done: bool = False


class Done(Struct, frozen=True, tag="done", tag_field="type"):
    """Says that the context is spoken to its end."""

    context_id: str
    status_code: int = 200
    done: bool = True


class Failure(Struct, frozen=True, tag="error", tag_field="type"):
    """Ends a context that could not be spoken; `context_id` is null for a message that names none.

    `message` names the field that is wrong, and `param`, which is ours, has it once more. `done` is false: a client
    that looks at it before the type, as LiveKit's does, would take a failure for a success.
    """

    context_id: str | None
    error_code: str
    title: str
    message: str
    status_code: int
    param: str | None = None
    done: bool = False


Answer = Chunk | Timestamps | FlushDone | Done | Failure


def decode_message(data: bytes) -> Generate | Cancel:
    """Decode a client's message from its JSON. Raises BadMessage, and nothing else, whatever the data.

    Its error names the field and the fix; its `event_id` is the context's id, where there is one.
    """
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(bad_syntax(error)) from None
    context_id = _context_id(raw)
    try:
        if isinstance(raw, dict) and raw.get("cancel") is True:
            return msgspec.convert(raw, Cancel)
        return msgspec.convert(raw, Generate)
    except msgspec.ValidationError as error:
        raise BadMessage(explained(error, _HINTS, context_id)) from None


def misplaced(first: Generate, later: Generate, *, ended: bool) -> ErrorBody | None:
    """Return the error for a message that cannot join the context that `first` began, or None.

    It cannot if the context's words had `ended`, or if it asks for another voice or other samples than the context has.
    """
    if ended:
        fault = "The last words of this context have come; wait for its done, or use another context_id."
        return refused("context_ended", fault, "context_id", first.context_id)
    for name, same in (
        ("voice", first.voice_name == later.voice_name),
        ("output_format", first.output_format == later.output_format),
    ):
        if not same:
            fault = f"The field {name!r} is not what the context began with; use another context_id."
            return refused("invalid_value", fault, name, first.context_id)
    return None


def _context_id(raw: Any) -> str | None:
    given = raw.get("context_id") if isinstance(raw, dict) else None
    return given if isinstance(given, str) and 0 < len(given) <= 256 else None
