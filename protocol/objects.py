"""Defines the nouns of the Realtime protocol: sessions, items, responses, errors.

Fields and names follow the OpenAI Realtime API (GA); what voiced adds sits under `voiced`. Absent is `UNSET` and stays
off the wire: several clients refuse a `null` where a key may be missing. Fields the API knows and voiced does not use
are accepted as `Any`, so that stock clients pass; anything else is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Fraction = Annotated[float, Meta(gt=0, le=1)]
Identifier = Annotated[str, Meta(min_length=1, max_length=64)]


StreamName = Annotated[str, Meta(max_length=128)]
Instructions = Annotated[str, Meta(max_length=8192)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
MaxTokens = Annotated[int, Meta(ge=1, le=1_000_000)] | Literal["inf"]


class FunctionTool(Struct, frozen=True, forbid_unknown_fields=True, tag="function", tag_field="type"):
    """Describes a function that the brain may ask the client to call."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool | UnsetType | None = UNSET


class NamedFunction(Struct, frozen=True, forbid_unknown_fields=True, tag="function", tag_field="type"):
    """Names the one function to call."""

    name: str


Tools = Annotated[list[FunctionTool], Meta(max_length=128)]
ToolChoice = Literal["auto", "none", "required"] | NamedFunction


class VoiceId(Struct, frozen=True, forbid_unknown_fields=True):
    """Names a voice by an object in place of a string."""

    id: Identifier


class PcmFormat(Struct, frozen=True, forbid_unknown_fields=True, tag="audio/pcm", tag_field="type"):
    """Stands for 16-bit little-endian mono PCM at 24 kHz."""

    rate: Literal[24000] = 24000


class PcmuFormat(Struct, frozen=True, forbid_unknown_fields=True, tag="audio/pcmu", tag_field="type"):
    """Stands for G.711 mu-law at 8 kHz."""


class PcmaFormat(Struct, frozen=True, forbid_unknown_fields=True, tag="audio/pcma", tag_field="type"):
    """Stands for G.711 A-law at 8 kHz."""


class RawFormat(Struct, frozen=True, forbid_unknown_fields=True, tag="audio/raw", tag_field="type"):
    """Stands for bare samples in any encoding and rate that is served, for the protocols built on this one. voiced's
    own.
    """

    encoding: Literal["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
    rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]


AudioFormat = PcmFormat | PcmuFormat | PcmaFormat | RawFormat

Speed = Annotated[float, Meta(ge=0.25, le=4.0)]


class AudioOutput(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how the session speaks."""

    format: AudioFormat | UnsetType = UNSET
    voice: Identifier | VoiceId | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET


class ServerVad(Struct, frozen=True, forbid_unknown_fields=True, tag="server_vad", tag_field="type"):
    """Asks for turns that end when the input falls silent."""

    threshold: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=5000)] | UnsetType | None = UNSET
    silence_duration_ms: Annotated[int, Meta(ge=0, le=10000)] | UnsetType | None = UNSET
    idle_timeout_ms: Annotated[int, Meta(ge=0, le=600000)] | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET


class SemanticVad(Struct, frozen=True, forbid_unknown_fields=True, tag="semantic_vad", tag_field="type"):
    """Asks for turns that end when the sentence does, as stock clients do by default.

    Here silence ends them too: the less eager, the longer it must be.
    """

    eagerness: Literal["low", "medium", "high", "auto"] | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET


TurnDetection = ServerVad | SemanticVad


class Transcription(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be done for the words of the user: in which language they are spoken (as in ISO 639-1: "de"), and what
    came before or may come up in them. `model` makes no difference: the server has one."""

    model: str | UnsetType | None = UNSET
    language: Annotated[str, Meta(max_length=16)] | UnsetType | None = UNSET
    prompt: Annotated[str, Meta(max_length=2000)] | UnsetType | None = UNSET
    delay: Any = UNSET


class AudioInput(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how the session listens. `None` clears a setting."""

    format: AudioFormat | UnsetType = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: dict[str, Any] | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET


class SessionAudio(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how the session listens and speaks."""

    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class Generation(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds voiced's own settings: how ids are drawn and who the speakers of a scene are.

    `speakers` maps a scene's speaker tags to voices (or to `item:<id>`, an item that holds a clip and its transcript):
    {"SPEAKER0": "amy"}. `seed` makes a response repeatable. `paced` false asks for speech as fast as it can be made
    (for files), not as fast as somebody listens. `max_lead_s` bounds the seconds of speech made ahead of the listener.
    `text_stream` names the stream that the words of the response come from. `text_patience_s` is how long words of a
    text stream wait for the end of their sentence once no more come.
    """

    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=0, le=100000)] | UnsetType = UNSET
    top_p: Fraction | UnsetType = UNSET
    greedy: bool | UnsetType = UNSET
    paced: bool | UnsetType = UNSET
    max_lead_s: Annotated[float, Meta(ge=0.2, le=60.0)] | UnsetType = UNSET
    seed: Annotated[int, Meta(ge=0, le=2**62)] | UnsetType = UNSET
    speakers: dict[Annotated[str, Meta(pattern="^SPEAKER[0-9]{1,2}$")], Identifier] | UnsetType = UNSET
    text_stream: StreamName | UnsetType = UNSET
    text_patience_s: Annotated[float, Meta(ge=0, le=60)] | UnsetType = UNSET


class SessionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds the `session` of a session.update: only what is present changes."""

    type: Literal["realtime", "transcription"] | UnsetType = UNSET
    instructions: Instructions | UnsetType = UNSET
    audio: SessionAudio | UnsetType = UNSET
    output_modalities: list[Literal["audio", "text"]] | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    tools: Tools | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    tracing: Any = UNSET
    voiced: Generation | UnsetType = UNSET
    model: Any = UNSET
    include: Any = UNSET
    prompt: Any = UNSET
    reasoning: Any = UNSET
    truncation: Any = UNSET


class InputText(Struct, frozen=True, forbid_unknown_fields=True, tag="input_text", tag_field="type"):
    """Holds words of the user, or of the system."""

    text: str


class InputAudio(Struct, frozen=True, forbid_unknown_fields=True, tag="input_audio", tag_field="type"):
    """Holds a clip of the user: 24 kHz PCM, and what is said in it if that is known."""

    audio: bytes | UnsetType = UNSET
    transcript: str | None = None
    detail: Any = UNSET


class OutputText(Struct, frozen=True, forbid_unknown_fields=True, tag="output_text", tag_field="type"):
    """Holds written words of the assistant."""

    text: str


class OutputAudio(Struct, frozen=True, forbid_unknown_fields=True, tag="output_audio", tag_field="type"):
    """Holds speech of the assistant. Sent by a client with `audio`, it is a reference for how the session should
    sound.
    """

    transcript: str | UnsetType = UNSET
    audio: bytes | UnsetType = UNSET


Content = InputText | InputAudio | OutputText | OutputAudio


class NewMessage(Struct, frozen=True, forbid_unknown_fields=True, tag="message", tag_field="type"):
    """Holds a message as a client creates it."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[list[Content], Meta(min_length=1, max_length=16)]
    id: Identifier | UnsetType | None = UNSET
    object: Any = UNSET
    status: Any = UNSET


class NewCall(Struct, frozen=True, forbid_unknown_fields=True, tag="function_call", tag_field="type"):
    """Holds a function call as a client creates it, to replay a history."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    arguments: Annotated[str, Meta(max_length=65536)]
    call_id: Identifier | UnsetType | None = UNSET
    id: Identifier | UnsetType | None = UNSET
    object: Any = UNSET
    status: Any = UNSET


class NewCallOutput(Struct, frozen=True, forbid_unknown_fields=True, tag="function_call_output", tag_field="type"):
    """Holds what a function returned, as a client creates it."""

    call_id: Identifier
    output: Annotated[str, Meta(max_length=65536)]
    id: Identifier | UnsetType | None = UNSET
    object: Any = UNSET
    status: Any = UNSET


class ItemReference(Struct, frozen=True, forbid_unknown_fields=True, tag="item_reference", tag_field="type"):
    """Refers to an item of the conversation by its id."""

    id: Identifier


NewItem = NewMessage | NewCall | NewCallOutput

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class MessageItem(Struct, frozen=True, tag="message", tag_field="type"):
    """Holds a message as the server shows it."""

    id: str
    role: Literal["system", "user", "assistant"]
    status: ItemStatus
    content: list[Content]
    object: Literal["realtime.item"] = "realtime.item"


class CallItem(Struct, frozen=True, tag="function_call", tag_field="type"):
    """Holds a function call as the server shows it."""

    id: str
    name: str
    arguments: str
    call_id: str
    status: ItemStatus
    object: Literal["realtime.item"] = "realtime.item"


class CallOutputItem(Struct, frozen=True, tag="function_call_output", tag_field="type"):
    """Holds what a function returned, as the server shows it."""

    id: str
    call_id: str
    output: str
    status: ItemStatus = "completed"
    object: Literal["realtime.item"] = "realtime.item"


Item = MessageItem | CallItem | CallOutputItem


class TokenDetails(Struct, frozen=True):
    """Counts positions by kind."""

    text_tokens: int = 0
    audio_tokens: int = 0
    cached_tokens: int | UnsetType = UNSET


class Usage(Struct, frozen=True):
    """Counts what a response took: prompt positions in, frames out."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: TokenDetails
    output_token_details: TokenDetails


class DurationUsage(Struct, frozen=True):
    """How much audio was transcribed, in seconds."""

    seconds: float
    type: Literal["duration"] = "duration"


class ResponseError(Struct, frozen=True):
    """Says why a response failed."""

    type: str
    code: str
    message: str


class StatusDetails(Struct, frozen=True):
    """Says how a response ended, if it was not simply completed."""

    type: Literal["cancelled", "failed", "incomplete"]
    reason: str | UnsetType = UNSET
    error: ResponseError | UnsetType = UNSET


ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]


class RateLimit(Struct, frozen=True):
    """Says how much more may be asked for now."""

    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class ShownVoice(Struct, frozen=True):
    """Shows the effective output settings of a response."""

    format: AudioFormat
    voice: str | UnsetType = UNSET


class ShownResponseAudio(Struct, frozen=True):
    """Shows the effective audio settings of a response."""

    output: ShownVoice


class Response(Struct, frozen=True):
    """Holds a response as the server shows it."""

    id: str
    status: ResponseStatus
    output: list[Item]
    conversation_id: str | None
    output_modalities: list[str]
    audio: ShownResponseAudio
    max_output_tokens: int | Literal["inf"] = "inf"
    status_details: StatusDetails | None = None
    usage: Usage | None = None
    metadata: dict[str, str] | None = None
    object: Literal["realtime.response"] = "realtime.response"


class ResponseConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds the `response` of a response.create: overrides for this response alone.

    With `conversation` "none" it is out of band: it joins no conversation. `input` replaces the conversation as what is
    answered.
    """

    conversation: Literal["auto", "none"] | UnsetType = UNSET
    input: Annotated[list[NewItem | ItemReference], Meta(max_length=512)] | UnsetType | None = UNSET
    instructions: Instructions | UnsetType | None = UNSET
    metadata: Metadata | None = None
    audio: SessionAudio | UnsetType = UNSET
    output_modalities: list[Literal["audio", "text"]] | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    tools: Tools | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    voiced: Generation | UnsetType = UNSET
    prompt: Any = UNSET
    reasoning: Any = UNSET


class ShownOutput(Struct, frozen=True):
    """Shows the effective output settings."""

    format: AudioFormat
    speed: float
    voice: str | UnsetType = UNSET


class ShownInput(Struct, frozen=True):
    """Shows the effective input settings; null is off."""

    format: AudioFormat
    transcription: Transcription | None
    noise_reduction: dict[str, Any] | None
    turn_detection: TurnDetection | None


class ShownAudio(Struct, frozen=True):
    """Shows the effective audio settings."""

    input: ShownInput
    output: ShownOutput


class Engine(Struct, frozen=True):
    """Shows what really runs behind a session."""

    checkpoint: str
    kind: str
    device: str
    decoder: str


class ShownListening(Struct, frozen=True):
    """What really listens, whatever `audio.input` asks for: what tells speech from silence, and what ends a turn (null:
    only the client does), whether what is said can be transcribed, and by what."""

    detector: str
    turns: Literal["server_vad"] | None
    transcription: bool = False
    recogniser: str | UnsetType = UNSET


class ShownGeneration(Struct, frozen=True):
    """Shows the effective settings of voiced's own, and what really runs.

    `listening` false says that nothing listens. `scene` false says that the instructions are longer than a scene that
    the voice model can be given, and are not put before its speech; otherwise it is left out.
    """

    engine: Engine
    generation: Generation
    listening: ShownListening | bool = False
    scene: bool | UnsetType = UNSET


class Session(Struct, frozen=True):
    """Shows the whole effective session. `expires_at` is Unix time."""

    id: str
    model: str
    instructions: str
    audio: ShownAudio
    output_modalities: list[str]
    max_output_tokens: int | Literal["inf"]
    tools: list[FunctionTool]
    tool_choice: ToolChoice
    expires_at: int
    voiced: ShownGeneration
    tracing: Any = None
    parallel_tool_calls: bool | UnsetType = UNSET
    type: Literal["realtime", "transcription"] = "realtime"
    object: Literal["realtime.session"] = "realtime.session"


class ConversationShown(Struct, frozen=True):
    """Shows the default conversation of a session."""

    id: str
    object: Literal["realtime.conversation"] = "realtime.conversation"


class ErrorBody(Struct, frozen=True):
    """Holds one error: a sentence that names the field and the fix, and the client event it answers."""

    type: str
    code: str
    message: str
    param: str | None = None
    event_id: str | None = None
