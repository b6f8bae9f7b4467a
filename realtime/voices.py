"""Registered voices: a folder of `name.wav` (or .flac) with the words said in it in `name.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"^[a-z0-9_-]{1,64}$")


class VoiceError(ValueError):
    """A voices folder that cannot be used; one sentence with the fix."""


@dataclass(frozen=True)
class RegisteredVoice:
    """A voice on disk."""

    name: str
    clip: Path
    transcript: str


def read_voices(folder: Path) -> list[RegisteredVoice]:
    """All voices of a folder, by name. Raises VoiceError."""
    if not folder.is_dir():
        raise VoiceError(f"voices: there is no folder {folder}.")
    voices: list[RegisteredVoice] = []
    for clip in sorted([*folder.glob("*.wav"), *folder.glob("*.flac")]):
        name = clip.stem
        if not NAME.match(name):
            raise VoiceError(f"{clip}: a voice's name is made of a-z, 0-9, _ and -, at most 64; rename the file.")
        if voices and voices[-1].name == name:
            raise VoiceError(f"{folder}: voice {name!r} is there as .wav and as .flac; keep one.")
        text = clip.with_suffix(".txt")
        if not text.is_file():
            raise VoiceError(f"{text} is missing: write the words said in {clip.name} into it.")
        transcript = " ".join(text.read_text(encoding="utf-8").split())
        if not transcript:
            raise VoiceError(f"{text} is empty: write the words said in {clip.name} into it.")
        voices.append(RegisteredVoice(name, clip.resolve(), transcript))
    return voices
