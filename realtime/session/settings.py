"""A session's effective settings: what the client asked for over what the server gives by default."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from protocol.objects import Generation, ResponseConfig, SessionConfig, VoiceId
from realtime.session.errors import Refused
from realtime.speech import Sampling

_T = TypeVar("_T")

ITEM_VOICE = "item:"
"""Prefix of a voice that is cloned from an item of the conversation."""


@dataclass(frozen=True)
class Voice:
    """A voice that can be asked for: cloned from a registered `clip` whose words are `text`, or known to the
    checkpoint by a `scene` line, `text`."""

    name: str
    kind: Literal["clip", "scene"]
    text: str


@dataclass(frozen=True)
class Runtime:
    """What a session needs to know of what runs behind it."""

    checkpoint: str
    kind: str
    device: str
    decoder: str
    sample_rate: int
    max_clause_chars: int
    voices: Mapping[str, Voice]
    default_voice: str = ""


@dataclass(frozen=True)
class Settings:
    """Effective settings of a session, or of one response."""

    instructions: str = ""
    voice: str = ""
    generation: Generation = field(default_factory=Generation)

    @property
    def sampling(self) -> Sampling:
        """How ids are drawn."""
        asked = self.generation
        return Sampling(
            temperature=_given(asked.temperature),
            top_k=_given(asked.top_k),
            top_p=_given(asked.top_p),
            greedy=_given(asked.greedy),
        )

    @property
    def speakers(self) -> dict[str, str]:
        """Voices by speaker tag."""
        return {} if self.generation.speakers is UNSET else self.generation.speakers

    @property
    def manner(self) -> tuple[str, str, dict[str, str]]:
        """What comes before the speech; the rest is how it is drawn and sent."""
        return self.instructions, self.voice, self.speakers

    def updated(self, change: SessionConfig | ResponseConfig, runtime: Runtime, where: str) -> Settings:
        """These settings with a client's change; raises Refused for what cannot be served."""
        if change.output_modalities is not UNSET and change.output_modalities != ["audio"]:
            raise Refused(
                "unsupported_value",
                "This server speaks what it is given and writes nothing itself; use output_modalities ['audio'].",
                f"{where}.output_modalities",
            )
        result = self
        if change.instructions is not UNSET:
            result = replace(result, instructions=change.instructions)
        if change.voiced is not UNSET:
            for tag, name in ({} if change.voiced.speakers is UNSET else change.voiced.speakers).items():
                check_voice(name, runtime, f"{where}.voiced.speakers.{tag}")
            given = {key: value for key, value in asdict(change.voiced).items() if value is not UNSET}
            result = replace(result, generation=Generation(**{**asdict(result.generation), **given}))
        if change.audio is not UNSET and change.audio.output is not UNSET:
            voice = change.audio.output.voice
            if voice is not UNSET:
                name = voice.id if isinstance(voice, VoiceId) else voice
                check_voice(name, runtime, f"{where}.audio.output.voice")
                result = replace(result, voice=name)
        return result


def check_voice(name: str, runtime: Runtime, where: str) -> None:
    """Raise Refused unless the voice exists (item voices are looked up when they are used)."""
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
