"""The nouns of the Realtime protocol: sessions, items, responses, errors. Fields and names follow the OpenAI Realtime
API (GA); what voiced adds sits under `voiced`.

Absent is `UNSET` and stays off the wire: several clients refuse a `null` where a key may be missing. Fields the API
knows and voiced does not use are accepted as `Any`, so that stock clients pass; anything else is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Fraction = Annotated[float, Meta(gt=0, le=1)]
Identifier = Annotated[str, Meta(min_length=1, max_length=64)]


class VoiceId(Struct, frozen=True, forbid_unknown_fields=True):
    """A voice given as an object."""

    id: Identifier


class PcmFormat(Struct, frozen=True, forbid_unknown_fields=True):
    """16-bit little-endian mono PCM at 24 kHz."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class AudioOutput(Struct, frozen=True, forbid_unknown_fields=True):
    """How the session speaks."""

    format: PcmFormat | UnsetType = UNSET
    voice: Identifier | VoiceId | UnsetType = UNSET
    speed: Any = UNSET


class AudioInput(Struct, frozen=True, forbid_unknown_fields=True):
    """How the session listens. Accepted as it comes; nothing listens yet."""

    format: Any = UNSET
    transcription: Any = UNSET
    noise_reduction: Any = UNSET
    turn_detection: Any = UNSET


class SessionAudio(Struct, frozen=True, forbid_unknown_fields=True):
    """Both directions."""

    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class Generation(Struct, frozen=True, forbid_unknown_fields=True):
    """voiced's own settings: how ids are drawn and who the speakers of a scene are.

    `speakers` maps a scene's speaker tags to voices (or to `item:<id>`, an item that holds a clip and its transcript):
    {"SPEAKER0": "amy"}. `seed` makes a response repeatable. `paced` false asks for speech as fast as it can be made
    (for files), not as fast as somebody listens.
    """

    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=0, le=100000)] | UnsetType = UNSET
    top_p: Fraction | UnsetType = UNSET
    greedy: bool | UnsetType = UNSET
    paced: bool | UnsetType = UNSET
    seed: Annotated[int, Meta(ge=0, le=2**62)] | UnsetType = UNSET
    speakers: dict[Annotated[str, Meta(pattern="^SPEAKER[0-9]{1,2}$")], Identifier] | UnsetType = UNSET


class SessionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """`session` of a session.update: only what is present changes."""

    type: Literal["realtime"] | UnsetType = UNSET
    instructions: Annotated[str, Meta(max_length=8192)] | UnsetType = UNSET
    audio: SessionAudio | UnsetType = UNSET
    output_modalities: list[Literal["audio", "text"]] | UnsetType = UNSET
    voiced: Generation | UnsetType = UNSET
    model: Any = UNSET
    include: Any = UNSET
    max_output_tokens: Any = UNSET
    parallel_tool_calls: Any = UNSET
    prompt: Any = UNSET
    reasoning: Any = UNSET
    tool_choice: Any = UNSET
    tools: Any = UNSET
    tracing: Any = UNSET
    truncation: Any = UNSET


class InputText(Struct, frozen=True, forbid_unknown_fields=True, tag="input_text", tag_field="type"):
    """Words of the user, or of the system."""

    text: str


class InputAudio(Struct, frozen=True, forbid_unknown_fields=True, tag="input_audio", tag_field="type"):
    """A clip of the user: 24 kHz PCM, and what is said in it if that is known."""

    audio: bytes | UnsetType = UNSET
    transcript: str | None = None
    detail: Any = UNSET


class OutputText(Struct, frozen=True, forbid_unknown_fields=True, tag="output_text", tag_field="type"):
    """Words of the assistant."""

    text: str


class OutputAudio(Struct, frozen=True, forbid_unknown_fields=True, tag="output_audio", tag_field="type"):
    """Speech of the assistant. Sent by a client with `audio`, it is a reference for how the session should sound."""

    transcript: str | UnsetType = UNSET
    audio: bytes | UnsetType = UNSET


Content = InputText | InputAudio | OutputText | OutputAudio


class NewItem(Struct, frozen=True, forbid_unknown_fields=True):
    """A message as a client creates it."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[list[Content], Meta(min_length=1, max_length=16)]
    type: Literal["message"] = "message"
    id: Identifier | UnsetType = UNSET
    object: Any = UNSET
    status: Any = UNSET


ItemStatus = Literal["in_progress", "completed", "incomplete"]


class Item(Struct, frozen=True):
    """A message as the server shows it."""

    id: str
    role: Literal["system", "user", "assistant"]
    status: ItemStatus
    content: list[Content]
    type: Literal["message"] = "message"
    object: Literal["realtime.item"] = "realtime.item"


class TokenDetails(Struct, frozen=True):
    """Positions by kind."""

    text_tokens: int = 0
    audio_tokens: int = 0
    cached_tokens: int | UnsetType = UNSET


class Usage(Struct, frozen=True):
    """What a response took: prompt positions in, frames out."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: TokenDetails
    output_token_details: TokenDetails


class ResponseError(Struct, frozen=True):
    """Why a response failed."""

    type: str
    code: str
    message: str


class StatusDetails(Struct, frozen=True):
    """How a response ended, if not simply completed."""

    type: Literal["cancelled", "failed", "incomplete"]
    reason: str | UnsetType = UNSET
    error: ResponseError | UnsetType = UNSET


ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]


class Response(Struct, frozen=True):
    """A response as the server shows it."""

    id: str
    status: ResponseStatus
    output: list[Item]
    conversation_id: str | None
    output_modalities: list[str]
    status_details: StatusDetails | None = None
    usage: Usage | None = None
    metadata: dict[str, str] | None = None
    object: Literal["realtime.response"] = "realtime.response"


class ResponseConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """`response` of a response.create: overrides for this response alone."""

    instructions: Annotated[str, Meta(max_length=8192)] | UnsetType = UNSET
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    audio: SessionAudio | UnsetType = UNSET
    voiced: Generation | UnsetType = UNSET
    output_modalities: list[Literal["audio", "text"]] | UnsetType = UNSET
    conversation: Literal["auto"] | UnsetType = UNSET
    max_output_tokens: Any = UNSET
    parallel_tool_calls: Any = UNSET
    prompt: Any = UNSET
    reasoning: Any = UNSET
    tool_choice: Any = UNSET
    tools: Any = UNSET


class ShownOutput(Struct, frozen=True):
    """Effective output settings."""

    format: PcmFormat
    voice: str | None


class ShownAudio(Struct, frozen=True):
    """Effective audio settings."""

    output: ShownOutput


class Engine(Struct, frozen=True):
    """What really runs behind a session."""

    checkpoint: str
    kind: str
    device: str
    decoder: str


class ShownGeneration(Struct, frozen=True):
    """Effective settings of voiced's own."""

    engine: Engine
    generation: Generation


class Session(Struct, frozen=True):
    """The whole effective session."""

    id: str
    model: str
    instructions: str
    audio: ShownAudio
    output_modalities: list[str]
    expires_at: int
    voiced: ShownGeneration
    type: Literal["realtime"] = "realtime"
    object: Literal["realtime.session"] = "realtime.session"


class ErrorBody(Struct, frozen=True):
    """One error: a sentence that names the field and the fix, and the client event it answers."""

    type: str
    code: str
    message: str
    param: str | None = None
    event_id: str | None = None
