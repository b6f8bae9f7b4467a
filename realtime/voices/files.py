"""Reads and writes registered voices on disk.

A folder holds `name.wav` (or .flac) with the words said in it in `name.txt`. An uploaded voice has a `name.json` beside
it: when it came, from whom, and the consent that was stated. The names that OpenAI's clients ask for are here as well.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from codec_stream.audio_file import write_wav

log = logging.getLogger("voiced.voices")

CLIPS = (".wav", ".flac")
_OTHER_AUDIO = frozenset(
    ".aac .aif .aiff .amr .au .caf .m4a .m4b .mka .mp2 .mp3 .mp4 .oga .ogg .opus .ra .webm .wma".split()
)

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
"""Names that OpenAI's clients send. Some of these clients can send no others, so each has to mean something here."""


class VoiceError(ValueError):
    """Says in one sentence what is wrong with a voices folder, and how to mend it."""


@dataclass(frozen=True)
class RegisteredVoice:
    """Names a voice on disk: its clip and the words that are said in it."""

    name: str
    clip: Path
    transcript: str


class Consent(msgspec.Struct, frozen=True):
    """Records an upload: its Unix time, the name of the key it came with, what was stated, and the clip's SHA-256
    digest.
    """

    created_at: int
    uploaded_by: str
    statement: str
    clip_sha256: str


def read_voices(folder: Path) -> list[RegisteredVoice]:
    """Read all voices of a folder, sorted by file name. Logs a warning for audio files of other formats. Raises
    VoiceError.
    """
    voices: list[RegisteredVoice] = []
    for clip in _files(folder):
        kind = clip.suffix.lower()
        if kind in _OTHER_AUDIO:
            log.warning("%s is no voice: convert it to WAV or FLAC to speak with it", clip)
        if kind not in CLIPS:
            continue
        name = clip.stem
        if not NAME.match(name):
            raise VoiceError(f"{clip}: {NAME_RULE}; rename the file.")
        if voices and voices[-1].name == name:
            raise VoiceError(f"{folder}: voice {name!r} is there as {voices[-1].clip.name} and {clip.name}; keep one.")
        voices.append(RegisteredVoice(name, clip.resolve(), _transcript(clip)))
    return voices


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        raise VoiceError(f"voices: there is no folder {folder}.") from None
    except OSError as error:
        raise VoiceError(f"voices: the folder {folder} cannot be read ({error.strerror}).") from error


def _transcript(clip: Path) -> str:
    """Read the words said in a clip, from the text file beside it."""
    text = clip.with_suffix(".txt")
    try:
        transcript = " ".join(text.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        raise VoiceError(f"{text} is missing: write the words said in {clip.name} into it.") from None
    except UnicodeDecodeError:
        raise VoiceError(f"{text} is not UTF-8: save it in that encoding.") from None
    except OSError as error:
        raise VoiceError(f"{text} cannot be read ({error.strerror}).") from error
    if not transcript:
        raise VoiceError(f"{text} is empty: write the words said in {clip.name} into it.")
    return transcript


def read_uploads(folder: Path) -> list[tuple[RegisteredVoice, Consent]]:
    """Read the uploaded voices that a folder keeps; none if it does not exist yet. Raises VoiceError."""
    try:
        folder.stat()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise VoiceError(f"uploads: the folder {folder} cannot be read ({error.strerror}).") from error
    return [(voice, _read_consent(voice.clip.with_suffix(".json"))) for voice in read_voices(folder)]


def write_upload(folder: Path, name: str, pcm: bytes, rate: int, transcript: str, consent: Consent) -> None:
    """Write an uploaded voice to the folder: its record, its words, and its clip (16-bit mono `pcm` at `rate` Hz).

    The clip is moved into place last, so that a voice that is there is whole. Raises OSError that names the file, and
    then leaves nothing behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / f"{name}.wav"
    record, text, unfinished = (clip.with_suffix(kind) for kind in (".json", ".txt", ".part"))
    at = record
    try:
        record.write_bytes(msgspec.json.format(msgspec.json.encode(consent)) + b"\n")
        at = text
        text.write_text(transcript + "\n", encoding="utf-8")
        at = unfinished
        write_wav(unfinished, pcm, rate)
        unfinished.replace(clip)
    except OSError as error:
        for path in (record, text, unfinished):
            with contextlib.suppress(OSError):
                path.unlink()
        raise OSError(error.errno, error.strerror, str(at)) from error  # a full disk does not say where


def delete_upload(folder: Path, name: str) -> None:
    """Delete an uploaded voice with its words and its record. Raises OSError."""
    clip = folder / f"{name}.wav"
    for path in (clip, clip.with_suffix(".txt"), clip.with_suffix(".json")):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def aliases(voices: Sequence[str], default: str) -> dict[str, str]:
    """Map each of OpenAI's names to one of a checkpoint's voices: in turn, in the order the checkpoint lists them.

    Where it lists none, all stand for `default`; an empty one means that the model picks a voice.
    """
    return {name: voices[at % len(voices)] if voices else default for at, name in enumerate(OPENAI_NAMES)}


def _read_consent(path: Path) -> Consent:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Consent)
    except (OSError, msgspec.DecodeError) as error:
        raise VoiceError(f"{path} is no record of consent ({error}); upload the voice again or delete it.") from error
