"""Defines the request of `POST /v1/audio/speech`, and the events that answer it where a client asks for events.

Fields and names follow the OpenAI API; `seed` is voiced's own.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.encodings import BadMessage
from protocol.objects import ErrorBody, Identifier, Speed, VoiceId

SoundFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

MAX_INPUT_CHARS = 4096
_SHOWN = 200
"""Bounds how many characters of a client's own names an error repeats."""

_HINTS = {
    "model": "Name a model as text; whichever runs here answers.",
    "input": f"Send the words to speak, at most {MAX_INPUT_CHARS} characters of text.",
    "voice": "Send a voice's name, or {'id': its name}; GET /v1/audio/voices lists them.",
    "instructions": "Describe the speaker and the scene in at most 4096 characters of text.",
    "response_format": "Formats are mp3, opus, aac, flac, wav and pcm.",
    "speed": "Send a number from 0.25 to 4.",
    "stream_format": "Send 'audio' for a sound file or 'sse' for events.",
    "seed": "Send a whole number from 0 to 2**62, or leave it out.",
}


class SpeechRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Says what to speak, and how. `null` is as good as absent.

    `model` may be anything: the checkpoint that runs answers. The same `seed` draws the same codec frames.
    """

    input: Annotated[str, Meta(min_length=1, max_length=MAX_INPUT_CHARS)]
    model: Annotated[str, Meta(max_length=256)] | None = None
    voice: Identifier | VoiceId | None = None
    instructions: Annotated[str, Meta(max_length=4096)] | None = None
    response_format: SoundFormat | None = None
    speed: Speed | None = None
    stream_format: Literal["audio", "sse"] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**62)] | None = None

    @property
    def voice_name(self) -> str | None:
        """Return the voice asked for; None leaves the choice to the server."""
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice

    @property
    def sound_format(self) -> SoundFormat:
        """Return the format asked for; mp3 unless another is."""
        return self.response_format or "mp3"


class SpeechUsage(Struct, frozen=True):
    """Counts what a request took: prompt positions in, codec frames out (25 a second)."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechAudioDelta(Struct, frozen=True, tag="speech.audio.delta", tag_field="type"):
    """Carries more of the sound file: its bytes, base64. Joined in order, the deltas are the file."""

    audio: bytes


class SpeechAudioDone(Struct, frozen=True, tag="speech.audio.done", tag_field="type"):
    """Says that the file is complete."""

    usage: SpeechUsage


def decode_speech_request(body: bytes) -> SpeechRequest:
    """Decode a request from its JSON. Raises BadMessage, whose error names the field and the fix, and nothing else."""
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise BadMessage(_explained(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = str(error).removeprefix("JSON is malformed: ")[:_SHOWN]
        raise BadMessage(_body("invalid_json", f"The body is not valid JSON: {detail}.")) from None
    if not any(character.isalnum() for character in request.input):
        raise BadMessage(_body("invalid_value", f"The field 'input' holds no word. {_HINTS['input']}", "input"))
    return request


def server_sent(event: SpeechAudioDelta | SpeechAudioDone) -> bytes:
    """Write an event as a whole server-sent event."""
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


_DECODER = msgspec.json.Decoder(SpeechRequest)


def _explained(fault: str) -> ErrorBody:
    """Turn msgspec's words about a wrong field into the protocol's own."""
    message, _, path = fault.partition(" - at ")
    where = path.strip("`").removeprefix("$").removeprefix(".")[:_SHOWN]
    named = re.search(r"^Object (contains unknown|missing required) field `(.*)`", message, re.DOTALL)
    if named is not None:
        field = f"{where}.{named[2][:_SHOWN]}".removeprefix(".")
        if named[1] == "missing required":
            hint = _HINTS.get(field, "Add it.")
            return _body("missing_required_parameter", f"The field {field!r} is missing. {hint}", field)
        close = difflib.get_close_matches(field, _HINTS, 1)
        hint = f"The nearest is {close[0]!r}." if close else f"The fields are {', '.join(_HINTS)}."
        return _body("unknown_parameter", f"There is no field {field!r}. {hint}", field)
    if not where:
        return _body("invalid_value", f"The body must be one JSON object with the fields {', '.join(_HINTS)}.")
    hint = _HINTS.get(where.partition(".")[0], "")
    return _body("invalid_value", f"The field {where!r} is not valid: {message[:_SHOWN]}. {hint}".rstrip(), where)


def _body(code: str, message: str, param: str | None = None) -> ErrorBody:
    return ErrorBody("invalid_request_error", code, message, param)
