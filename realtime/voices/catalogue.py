"""Keeps all voices that can be asked for: the checkpoint's, those of the voices folder, uploaded ones, and OpenAI's
names for them.

It lives in the event loop. Work on the disk is done in threads, encoding in the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import ChainMap
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codec_stream.audio_file import read_reference
from codec_stream.errors import AudioError
from codec_stream.pcm import to_pcm16
from codec_stream.rate import SAMPLE_RATE
from realtime.engine.client import EngineClient
from realtime.engine.messages import EngineInfo, VoiceClip
from realtime.session.settings import Voice
from realtime.voices.files import (
    Consent,
    RegisteredVoice,
    VoiceError,
    aliases,
    delete_upload,
    read_uploads,
    write_upload,
)


class VoiceTaken(Exception):
    """Says that there is a voice of this name already, or that one is being made."""


class CatalogueFull(Exception):
    """Says in one sentence that no further voice is kept."""


@dataclass(frozen=True)
class Upload:
    """Holds a clip as it was uploaded (a WAV or FLAC file), with what the client said about it."""

    name: str
    clip: bytes
    transcript: str
    statement: str
    uploaded_by: str


@dataclass(frozen=True)
class Listed:
    """Describes a voice to a client.

    `stands_for` is the voice that an alias means; it is empty when the model picks one. `created_at` is Unix time, for
    uploaded voices only.
    """

    name: str
    kind: Literal["clip", "scene", "alias"]
    created_at: int | None = None
    stands_for: str = ""


class Catalogue:
    """Keeps the voices of one server. An uploaded voice can be asked for at once, also by sessions that are open
    already.
    """

    def __init__(self, registered: list[RegisteredVoice], uploads: Path | None, max_uploads: int) -> None:
        """Take the voices of the voices folder (`registered`), and read those of `uploads`, the folder that keeps
        uploaded ones.

        Without such a folder uploaded voices last until the server stops. Raises VoiceError.
        """
        self._registered = list(registered)
        self._folder = uploads
        self._max_uploads = max_uploads
        self._uploaded: dict[str, Consent] = {}
        self._taking: set[str] = set()
        self._clips = {voice.name: Voice(voice.name, "clip", voice.transcript) for voice in registered}
        for voice, consent in read_uploads(uploads) if uploads is not None else []:
            if voice.name in self._clips:
                raise VoiceError(f"{voice.clip}: voice {voice.name!r} is in the voices folder too; delete one of them.")
            self._registered.append(voice)
            self._uploaded[voice.name] = consent
            self._clips[voice.name] = Voice(voice.name, "clip", voice.transcript)

    def clips(self) -> list[VoiceClip]:
        """Read the voices that an engine encodes while it loads. Raises VoiceError for a clip that is none."""
        return [VoiceClip(voice.name, _pcm(voice), voice.transcript) for voice in self._registered]

    def voices(self, info: EngineInfo) -> Mapping[str, Voice]:
        """Return all voices by name, as sessions see them; where two have one name, the checkpoint's own wins.

        The mapping is live: it follows what is uploaded and deleted.
        """
        scenes = {name: Voice(name, "scene", line) for name, line in info.scene_voices.items()}
        return ChainMap(scenes, self._clips, self._aliases(info))

    def listed(self, info: EngineInfo) -> list[Listed]:
        """List all voices as they are shown to clients: the checkpoint's, then clips by name, then aliases."""
        shown = [Listed(name, "scene") for name in info.scene_voices]
        shown += [
            Listed(name, "clip", self._uploaded[name].created_at if name in self._uploaded else None)
            for name in sorted(self._clips)
            if name not in info.scene_voices
        ]
        taken = {voice.name for voice in shown}
        meanings = aliases(list(info.scene_voices), info.default_voice)
        return shown + [Listed(name, "alias", None, meant) for name, meant in meanings.items() if name not in taken]

    def deletable(self, name: str) -> bool:
        """Tell whether the voice was uploaded by a client; no other can be deleted."""
        return name in self._uploaded

    async def add(self, upload: Upload, engine: EngineClient, info: EngineInfo) -> Listed:
        """Check the clip of an uploaded voice, have the engine encode it, and keep it.

        Raises VoiceTaken and CatalogueFull; AudioError for the clip; VoiceRefused and EngineLost from the engine;
        OSError from the disk.
        """
        async with self._reserved(upload.name, info):
            samples = await asyncio.to_thread(read_reference, upload.clip, sample_rate=info.sample_rate)
            pcm = to_pcm16(samples)
            await engine.register_voice(upload.name, pcm)
            digest = hashlib.sha256(upload.clip).hexdigest()
            consent = Consent(int(time.time()), upload.uploaded_by, upload.statement, digest)
            if self._folder is not None:
                kept = (self._folder, upload.name, pcm, info.sample_rate, upload.transcript, consent)
                try:
                    await asyncio.to_thread(write_upload, *kept)
                except OSError:
                    engine.forget_voice(upload.name)
                    raise
            self._uploaded[upload.name] = consent
            self._clips[upload.name] = Voice(upload.name, "clip", upload.transcript)
            return Listed(upload.name, "clip", consent.created_at)

    async def delete(self, name: str, engine: EngineClient) -> None:
        """Delete an uploaded voice; speech that is being made with it goes on.

        Raises KeyError if there is no such voice, or it is being made; OSError from the disk.
        """
        if name not in self._uploaded or name in self._taking:
            raise KeyError(name)
        self._taking.add(name)
        try:
            if self._folder is not None:
                await asyncio.to_thread(delete_upload, self._folder, name)
            engine.forget_voice(name)
            del self._uploaded[name], self._clips[name]
        finally:
            self._taking.discard(name)

    def _aliases(self, info: EngineInfo) -> dict[str, Voice]:
        meanings = aliases(list(info.scene_voices), info.default_voice)
        return {name: Voice(name, "scene", info.scene_voices.get(meant, "")) for name, meant in meanings.items()}

    @contextlib.asynccontextmanager
    async def _reserved(self, name: str, info: EngineInfo) -> AsyncIterator[None]:
        if name in self._taking or name in self.voices(info):
            raise VoiceTaken(f"There is a voice {name!r} already; choose another name, or delete that one first.")
        if len(self._uploaded) + len(self._taking) >= self._max_uploads:
            raise CatalogueFull(f"This server keeps {self._max_uploads} uploaded voices; delete one first.")
        self._taking.add(name)
        try:
            yield
        finally:
            self._taking.discard(name)


def _pcm(voice: RegisteredVoice) -> bytes:
    try:
        return to_pcm16(read_reference(voice.clip, sample_rate=SAMPLE_RATE))
    except AudioError as error:  # it begins with the name of the file
        raise VoiceError(f"{voice.clip.parent}/{error}") from error
