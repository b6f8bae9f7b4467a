"""Registered voices on disk: a folder of `name.wav` (or .flac) with the words said in it in `name.txt`. An uploaded
voice has a `name.json` beside it: when it came, from whom, and the consent that was stated. And the names that
OpenAI's clients ask for.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from codec_stream.audio_file import write_wav

NAME = re.compile(r"^[a-z0-9_-]{1,64}$")
NAME_RULE = "a voice's name is made of a-z, 0-9, _ and -, at most 64"

OPENAI_NAMES = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
)
"""Names that stock clients send, some of them no others."""


class VoiceError(ValueError):
    """A voices folder that cannot be used; one sentence with the fix."""


@dataclass(frozen=True)
class RegisteredVoice:
    """A voice on disk."""

    name: str
    clip: Path
    transcript: str


class Consent(msgspec.Struct, frozen=True):
    """The record of an upload: Unix time, the name of the key it came with, what was stated, and which clip it was."""

    created_at: int
    uploaded_by: str
    statement: str
    clip_sha256: str


def read_voices(folder: Path) -> list[RegisteredVoice]:
    """All voices of a folder, by name. Raises VoiceError."""
    if not folder.is_dir():
        raise VoiceError(f"voices: there is no folder {folder}.")
    voices: list[RegisteredVoice] = []
    for clip in sorted([*folder.glob("*.wav"), *folder.glob("*.flac")]):
        name = clip.stem
        if not NAME.match(name):
            raise VoiceError(f"{clip}: {NAME_RULE}; rename the file.")
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


def read_uploads(folder: Path) -> list[tuple[RegisteredVoice, Consent]]:
    """The uploaded voices that a folder keeps; none if it does not exist yet. Raises VoiceError."""
    if not folder.exists():
        return []
    return [(voice, _read_consent(voice.clip.with_suffix(".json"))) for voice in read_voices(folder)]


def write_upload(folder: Path, name: str, pcm: bytes, rate: int, transcript: str, consent: Consent) -> None:
    """Keep an uploaded voice. The clip comes last and at once: what is there is whole. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / f"{name}.wav"
    clip.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(consent)) + b"\n")
    clip.with_suffix(".txt").write_text(transcript + "\n", encoding="utf-8")
    unfinished = clip.with_suffix(".part")
    write_wav(unfinished, pcm, rate)
    unfinished.replace(clip)


def delete_upload(folder: Path, name: str) -> None:
    """Delete an uploaded voice with its record. Raises OSError."""
    clip = folder / f"{name}.wav"
    for path in (clip, clip.with_suffix(".txt"), clip.with_suffix(".json")):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def aliases(voices: Sequence[str], default: str) -> dict[str, str]:
    """Which of a checkpoint's voices each of OpenAI's names stands for: in turn, in the order the checkpoint lists
    them; `default` (empty: whichever the model picks) where it lists none."""
    return {name: voices[at % len(voices)] if voices else default for at, name in enumerate(OPENAI_NAMES)}


def _read_consent(path: Path) -> Consent:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Consent)
    except (OSError, msgspec.DecodeError) as error:
        raise VoiceError(f"{path} is no record of consent ({error}); upload the voice again or delete it.") from error
