"""How a session tells the engine what to speak, without knowing the engine: messages, voices, ways of drawing; and
how the engine tells what that took.

Plain structs that both sides import.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """Words, as the chat template will see them."""

    text: str


class VoicePart(msgspec.Struct, frozen=True, tag="voice"):
    """The clip of a registered voice, by name."""

    name: str


class ClipPart(msgspec.Struct, frozen=True, tag="clip"):
    """A clip sent along: 16-bit mono PCM at the codec's rate. Encoded once, remembered by content."""

    pcm: bytes


Part = TextPart | VoicePart | ClipPart


class Message(msgspec.Struct, frozen=True):
    """One message of the prompt; the checkpoint's chat template gives it its form."""

    role: Literal["system", "scene", "user", "assistant"]
    parts: list[Part]


class Sampling(msgspec.Struct, frozen=True):
    """How ids are drawn. `None` leaves the checkpoint's own default; `top_k=0` and `top_p=1` switch a filter off."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool | None = None
    ras: bool | None = None


class Used(msgspec.Struct, frozen=True):
    """What a request has taken so far: positions of its prompt, of audio rows among them, and of those found cached;
    frames spoken."""

    prompt_positions: int = 0
    audio_positions: int = 0
    cached_positions: int = 0
    frames: int = 0
