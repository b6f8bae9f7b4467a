"""Lists the voices that a server with these settings begins with, for `voiced voices`. It loads no checkpoint."""

from __future__ import annotations

from pathlib import Path

import msgspec

from realtime.checkpoints import built_in, voices_folder
from realtime.config import Config
from realtime.voices.files import aliases, read_uploads, read_voices


class _Scene(msgspec.Struct, frozen=True):
    name: str
    description: str = ""


class _Manifest(msgspec.Struct, frozen=True):
    """Holds what the `voiced.json` of a checkpoint says of its voices; foreign checkpoints have no such file."""

    name: str = ""
    voices: list[_Scene] = []
    default_voice: str = ""


def list_voices(config: Config) -> dict[str, str]:
    """Return for each voice's name where it is from. Where two have one name, it is the one that would speak.

    Raises VoiceError.
    """
    manifest = _manifest(Path(config.model).expanduser() if config.model else built_in())
    folder = voices_folder(config.voices, config.model)
    own = {voice.name: f"checkpoint {manifest.name}: {voice.description}" for voice in manifest.voices}
    kept = {voice.name: str(voice.clip) for voice in read_voices(folder)} if folder is not None else {}
    uploads = read_uploads(Path(config.uploads).expanduser()) if config.uploads else []
    uploaded = {voice.name: f"uploaded, {voice.clip}" for voice, _ in uploads}
    meanings = aliases(list(own), manifest.default_voice)
    also = {name: f"stands for {meant}" if meant else "as the model picks" for name, meant in meanings.items()}
    return {**own, **{name: where for name, where in {**also, **uploaded, **kept}.items() if name not in own}}


def _manifest(folder: Path) -> _Manifest:
    try:
        return msgspec.json.decode((folder / "voiced.json").read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError):  # `model` may be a hub id: then there is no folder to look into
        return _Manifest()
