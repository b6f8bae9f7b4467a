"""Defines translation sessions at `/v1/realtime/translations`: speech goes in, speech and text in another language come
out, without turns.

Events and fields follow the OpenAI Realtime API's translation sessions; JSON only. voiced adds one client event,
`session.input_transcript.append`, for sessions whose transcripts are given by the client (`voiced.transcripts` of the
session object says "given"), and `voiced` in sessions: the voice, and what really translates.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from protocol.encodings import BadMessage
from protocol.faults import bad_syntax, explained
from protocol.objects import Engine, Identifier
from protocol.server_events import Error

MAX_WORDS_CHARS = 4096

EventId = Annotated[str, Meta(max_length=512)] | UnsetType
Language = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=35)]

_EVENTS = "session.update, session.input_audio_buffer.append, session.input_transcript.append and session.close"
_HINTS = {
    "type": f"Client events here are {_EVENTS}.",
    "event_id": "An id has at most 512 characters.",
    "audio": "Send 24 kHz 16-bit mono PCM as base64, in steps of 200 ms.",
    "text": f"Send the words that were said, at most {MAX_WORDS_CHARS} characters.",
    "session": "What can be set is audio.input.transcription, audio.input.noise_reduction, audio.output.language and "
    "voiced.voice.",
    "session.model": "The model is set when the session begins; leave it out.",
    "session.type": "The type of this session is 'translation'.",
    "session.audio.input.transcription": "Send {'model': …} for source transcripts, or null for none.",
    "session.audio.input.noise_reduction": "Send {'type': 'near_field'} or {'type': 'far_field'}, or null for none.",
    "session.audio.input.noise_reduction.strength": "Send a number from 0 to 1.",
    "session.audio.output.language": "Send a language's code, like 'de'.",
    "session.voiced.voice": "Send a voice's name; GET /v1/audio/voices lists them.",
}


class NoiseReduction(Struct, frozen=True, forbid_unknown_fields=True):
    """Says where the microphone is, for noise reduction."""

    type: Literal["near_field", "far_field"]
    strength: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET


class Transcription(Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for source transcripts. Any `model` will do: whichever transcriber there is answers."""

    model: Annotated[str, Meta(max_length=256)]


class InputConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how the session listens. `None` clears a setting."""

    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET


class OutputConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Names the language that is spoken to the client."""

    language: Language | UnsetType = UNSET


class AudioConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how the session listens and speaks."""

    input: InputConfig | UnsetType = UNSET
    output: OutputConfig | UnsetType = UNSET


class VoicedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds voiced's own settings."""

    voice: Identifier | UnsetType = UNSET


class SessionChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds the `session` of a session.update: only what is present changes."""

    type: Literal["translation"] | UnsetType = UNSET
    audio: AudioConfig | UnsetType = UNSET
    voiced: VoicedConfig | UnsetType = UNSET


class SessionSetup(SessionChange, frozen=True, forbid_unknown_fields=True):
    """Holds what a session begins with, in a client secret. Any `model` will do: the checkpoint that runs speaks."""

    model: str | UnsetType = UNSET


class _Event(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    event_id: EventId = UNSET


class SessionUpdate(_Event, frozen=True, tag="session.update"):
    """Changes settings; a new language holds from the next words on."""

    session: SessionChange


class AudioAppend(_Event, frozen=True, tag="session.input_audio_buffer.append"):
    """Adds to what is said, silence too: 24 kHz 16-bit mono PCM."""

    audio: bytes


class TranscriptAppend(_Event, frozen=True, tag="session.input_transcript.append"):
    """Adds words of what is said in the audio up to here, in the source language. voiced's own."""

    text: Annotated[str, Meta(max_length=MAX_WORDS_CHARS)]


class SessionClose(_Event, frozen=True, tag="session.close"):
    """Ends the input: what has been said is translated and spoken, then `session.closed` follows."""


TranslationClientEvent = SessionUpdate | AudioAppend | TranscriptAppend | SessionClose


class ShownInput(Struct, frozen=True):
    """Shows the effective input settings; null is off."""

    transcription: Transcription | None
    noise_reduction: NoiseReduction | None


class ShownOutput(Struct, frozen=True):
    """Shows the effective output settings; a null language has to be set before anything is translated."""

    language: str | None


class ShownAudio(Struct, frozen=True):
    """Shows the effective audio settings."""

    input: ShownInput
    output: ShownOutput


class ShownTranslation(Struct, frozen=True):
    """Shows what really translates, from which language, into which ones, and who speaks.

    `transcripts` says where its transcripts come from: "given" ones come from the client, as nothing here recognises
    speech.
    """

    translator: str
    transcripts: Literal["given", "heard"]
    source_language: str
    languages: list[str]
    engine: Engine
    voice: str | UnsetType = UNSET


class TranslationSession(Struct, frozen=True):
    """Shows the whole effective session. `expires_at` is Unix time."""

    id: str
    model: str
    expires_at: int
    audio: ShownAudio
    voiced: ShownTranslation
    type: Literal["translation"] = "translation"


class _Told(Struct, frozen=True, tag_field="type", kw_only=True):
    event_id: str


class SessionCreated(_Told, frozen=True, tag="session.created"):
    """Opens every session: it is the first event."""

    session: TranslationSession


class SessionUpdated(_Told, frozen=True, tag="session.updated"):
    """Shows the whole effective session, after a change."""

    session: TranslationSession


class InputTranscriptDelta(_Told, frozen=True, tag="session.input_transcript.delta"):
    """Carries more words that were said.

    `elapsed_ms`, here and below, is how much of the input had been understood by then, in whole pieces of 200 ms.
    """

    delta: str
    elapsed_ms: int


class OutputTranscriptDelta(_Told, frozen=True, tag="session.output_transcript.delta"):
    """Carries more words of the translation.

    Words that could not be translated stand in [square brackets], in the source language, and are spoken as they are.
    """

    delta: str
    elapsed_ms: int


class OutputAudioDelta(_Told, frozen=True, tag="session.output_audio.delta"):
    """Carries more speech. Its `elapsed_ms` is that of the words it speaks, and so tells how far it trails behind the
    input.
    """

    delta: bytes
    elapsed_ms: int
    sample_rate: int = 24000
    channels: int = 1
    format: Literal["pcm16"] = "pcm16"


class SessionClosed(_Told, frozen=True, tag="session.closed"):
    """Closes every session: it is the last event."""


TranslationServerEvent = (
    SessionCreated
    | SessionUpdated
    | InputTranscriptDelta
    | OutputTranscriptDelta
    | OutputAudioDelta
    | SessionClosed
    | Error
)


def decode_translation_event(data: bytes) -> TranslationClientEvent:
    """Decode a client event from its JSON. Raises BadMessage, whose error names the field and the fix, and nothing
    else.
    """
    try:
        event: TranslationClientEvent = _DECODER.decode(data)
    except msgspec.ValidationError as error:
        raise BadMessage(explained(error, _HINTS, _event_id(data))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(bad_syntax(error)) from None
    return event


_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(TranslationClientEvent)


def _event_id(data: bytes) -> str | None:
    """Return the id of an event that is not valid, if its data is JSON and has one."""
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    given = raw.get("event_id") if isinstance(raw, dict) else None
    return given if isinstance(given, str) and len(given) <= 512 else None
