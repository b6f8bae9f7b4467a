"""Keeps a session's effective settings: what the client asked for over what the server gives by default."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict
from msgspec.structs import replace as msgspec_replace

from protocol.errors import Refused
from protocol.objects import (
    AudioFormat,
    AudioInput,
    FunctionTool,
    Generation,
    PcmFormat,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    ShownListening,
    ToolChoice,
    Transcription,
    TurnDetection,
    VoiceId,
)
from realtime.request import Sampling

_T = TypeVar("_T")

ITEM_VOICE = "item:"
"""The prefix of a voice that is cloned from an item of the conversation; the item's id follows it."""


@dataclass(frozen=True)
class Voice:
    """Describes a voice that can be asked for.

    Of the `kind` clip it is cloned from a registered clip, whose words are `text`. Of the `kind` scene it is known to
    the checkpoint by the line `text`.
    """

    name: str
    kind: Literal["clip", "scene"]
    text: str


@dataclass(frozen=True)
class Runtime:
    """Describes what runs behind a session, as far as the session needs to know.

    `hears` names what tells speech from silence in the user's audio; without it there are no turns. `recogniser` names
    what turns speech into words, if anything does. `answers_turns` says that the brain understands what was said in a
    turn, and `needs_transcripts` that it reads the words and does not hear for itself. `max_scene_chars` bounds what is
    put before the speech. `max_lead_s` is how many seconds ahead of its listener the engine speaks, unless a client
    asks for another lead.
    """

    checkpoint: str
    kind: str
    device: str
    decoder: str
    sample_rate: int
    max_clause_chars: int
    max_scene_chars: int
    voices: Mapping[str, Voice]
    default_voice: str = ""
    hears: str = ""
    answers_turns: bool = False
    recogniser: str = ""
    needs_transcripts: bool = False
    max_lead_s: float = 2.0


@dataclass(frozen=True)
class Listening:
    """Holds the effective input settings; None is off."""

    format: AudioFormat = field(default_factory=PcmFormat)
    transcription: Transcription | None = None
    noise_reduction: dict[str, Any] | None = None
    turn_detection: TurnDetection | None = None

    def updated(self, change: AudioInput, runtime: Runtime) -> Listening:
        """Return these settings with a client's change. A turn detection of another type replaces the old one whole."""
        result = self
        if change.format is not UNSET:
            result = replace(result, format=change.format)
        if change.transcription is not UNSET:
            result = replace(result, transcription=change.transcription)
        if change.noise_reduction is not UNSET:
            result = replace(result, noise_reduction=change.noise_reduction)
        if change.turn_detection is not UNSET:
            result = replace(result, turn_detection=_detection(self.turn_detection, change.turn_detection, runtime))
        return result

    def shown(self, runtime: Runtime) -> ShownListening | bool:
        """Return what really listens; False says that nothing does."""
        if not runtime.hears:
            return False
        turns: Literal["server_vad"] | None = None if self.turn_detection is None else "server_vad"
        recogniser = runtime.recogniser or UNSET
        return ShownListening(runtime.hears, turns, recogniser is not UNSET, recogniser)


@dataclass(frozen=True)
class Settings:
    """Holds the effective settings of a session, or of one response."""

    instructions: str = ""
    voice: str = ""
    format: AudioFormat = field(default_factory=PcmFormat)
    speed: float = 1.0
    listening: Listening = field(default_factory=Listening)
    transcribes_only: bool = False  # no responses are made
    writes: bool = False  # responses are text instead of speech
    max_output_tokens: int | Literal["inf"] = "inf"
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | UnsetType = UNSET
    tracing: Any = None
    generation: Generation = field(default_factory=Generation)

    @property
    def modalities(self) -> list[str]:
        return ["text"] if self.writes else ["audio"]

    @property
    def sampling(self) -> Sampling:
        """Return how the engine is to draw ids."""
        asked = self.generation
        return Sampling(
            temperature=_given(asked.temperature),
            top_k=_given(asked.top_k),
            top_p=_given(asked.top_p),
            greedy=_given(asked.greedy),
        )

    @property
    def speakers(self) -> dict[str, str]:
        """Return the names of the voices, by speaker tag."""
        return {} if self.generation.speakers is UNSET else self.generation.speakers

    def is_scene(self, runtime: Runtime) -> bool:
        """Tell whether the instructions can be put before the speech as its scene.

        An application's long instructions are no description of a room: a voice model that is given them stutters, or
        has no positions left for its words.
        """
        return len(self.instructions) <= runtime.max_scene_chars

    @property
    def manner(self) -> tuple[str, str, dict[str, str]]:
        """Return the settings that decide what comes before the speech. The others decide how it is drawn and sent."""
        return self.instructions, self.voice, self.speakers

    def updated(self, change: SessionConfig | ResponseConfig, runtime: Runtime, where: str) -> Settings:
        """Return these settings with a client's change. Raises Refused, with fields under `where`, for what cannot be
        served.
        """
        result = self
        if isinstance(change, SessionConfig):
            if change.type is not UNSET:
                result = replace(result, transcribes_only=change.type == "transcription")
                if result.transcribes_only and not runtime.recogniser:
                    nobody = "Nothing recognises speech on this server; use 'realtime'."
                    raise Refused("unsupported_value", nobody, f"{where}.type")
            if change.tracing is not UNSET:
                result = replace(result, tracing=change.tracing)
        if change.output_modalities is not UNSET:
            if len(change.output_modalities) != 1:
                message = "Choose one modality: ['audio'] (with its transcript) or ['text']."
                raise Refused("invalid_value", message, f"{where}.output_modalities")
            result = replace(result, writes=change.output_modalities == ["text"])
        if change.instructions is not UNSET and change.instructions is not None:
            result = replace(result, instructions=change.instructions)
        if change.max_output_tokens is not UNSET:
            result = replace(result, max_output_tokens=change.max_output_tokens)
        if change.tools is not UNSET:
            result = replace(result, tools=tuple(change.tools))
        if change.tool_choice is not UNSET:
            result = replace(result, tool_choice=change.tool_choice)
        if change.parallel_tool_calls is not UNSET and change.parallel_tool_calls is not None:
            result = replace(result, parallel_tool_calls=change.parallel_tool_calls)
        if change.voiced is not UNSET:
            for tag, name in ({} if change.voiced.speakers is UNSET else change.voiced.speakers).items():
                check_voice(name, runtime, f"{where}.voiced.speakers.{tag}")
            given = {key: value for key, value in asdict(change.voiced).items() if value is not UNSET}
            result = replace(result, generation=Generation(**{**asdict(result.generation), **given}))
        if change.audio is not UNSET:
            result = result._with_audio(change.audio, runtime, where)
        if result.transcribes_only and (detection := result.listening.turn_detection) is not None:
            unanswered = msgspec_replace(detection, create_response=False)
            result = replace(result, listening=replace(result.listening, turn_detection=unanswered))
        return result

    def _with_audio(self, change: SessionAudio, runtime: Runtime, where: str) -> Settings:
        result = self
        if change.input is not UNSET:
            result = replace(result, listening=self.listening.updated(change.input, runtime))
        if change.output is not UNSET:
            output = change.output
            if output.format is not UNSET:
                result = replace(result, format=output.format)
            if output.speed is not UNSET:
                result = replace(result, speed=output.speed)
            if output.voice is not UNSET:
                name = output.voice.id if isinstance(output.voice, VoiceId) else output.voice
                check_voice(name, runtime, f"{where}.audio.output.voice")
                result = replace(result, voice=name)
        return result


_SERVER_VAD = ServerVad(
    threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500, create_response=True, interrupt_response=True
)
_SEMANTIC_VAD = SemanticVad(eagerness="auto", create_response=True, interrupt_response=True)


def _detection(old: TurnDetection | None, new: TurnDetection | None, runtime: Runtime) -> TurnDetection | None:
    """Return the effective turn detection after a client's change; None is off.

    No field is left out, since clients read there whether they must interrupt and answer by themselves.
    """
    if new is None:
        return None
    default = _SERVER_VAD if isinstance(new, ServerVad) else _SEMANTIC_VAD
    merged = _merged(old if type(old) is type(new) else default, new, default)
    return merged if runtime.answers_turns else msgspec_replace(merged, create_response=False)


def _merged(old: TurnDetection, new: TurnDetection, default: TurnDetection) -> TurnDetection:
    """Return `old` with the fields that `new` gives; a null there asks for the one of `default`."""
    given = {key: value for key, value in asdict(new).items() if value is not UNSET}
    wanted = {key: getattr(default, key) if value is None else value for key, value in given.items()}
    merged: TurnDetection = msgspec_replace(old, **wanted)
    return merged


def check_voice(name: str, runtime: Runtime, where: str) -> None:
    """Raise Refused, for the field `where`, unless the voice `name` exists.

    Voices of items are looked up when they are used.
    """
    if name in runtime.voices or name.startswith(ITEM_VOICE):
        return
    close = difflib.get_close_matches(name, runtime.voices, 1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    elif runtime.voices:
        hint = f"There are: {', '.join(sorted(runtime.voices))}."
    else:
        hint = "None are registered; leave the voice out and the model picks one."
    raise Refused("invalid_value", f"There is no voice {name[:64]!r}. {hint}", where)


def _given(value: _T | UnsetType) -> _T | None:
    return None if value is UNSET else value
