"""Serves `/v1/audio/voices`: list voices, upload a clip to speak with, delete it again."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from codec_stream.errors import AudioError
from protocol.errors import Refused
from realtime.engine.client import EngineClient, EngineLost, VoiceRefused
from realtime.engine.messages import EngineInfo
from realtime.http.access_middleware import grant_of
from realtime.http.forms import read_form, text_of
from realtime.http.replies import Json
from realtime.shell.sessions import ready
from realtime.voices.catalogue import Catalogue, CatalogueFull, Listed, Upload, VoiceTaken
from realtime.voices.files import NAME, NAME_RULE

log = logging.getLogger("voiced.voices")

_FIELDS = ("name", "audio_sample", "transcript", "consent")
_UPLOADS_AT_ONCE = 4
_MAX_TRANSCRIPT_CHARS = 2000
_MAX_CONSENT_CHARS = 1000
_NO_CONSENT = {"", "0", "false", "no", "none", "null", "off"}
_RETRY_S = 2


class _Shown(msgspec.Struct, frozen=True):
    """Describes a voice. `alias_of` is what an alias stands for, null when the model picks a voice."""

    id: str
    name: str
    type: str
    created_at: int | UnsetType = UNSET
    alias_of: str | UnsetType | None = UNSET
    object: str = "audio.voice"


class _List(msgspec.Struct, frozen=True):
    data: list[_Shown]
    object: str = "list"
    has_more: bool = False


class _Deleted(msgspec.Struct, frozen=True):
    id: str
    deleted: bool = True
    object: str = "audio.voice.deleted"


class VoiceRoutes:
    """Serves the endpoints of voices. A voice's id is its name, by which sessions and speech requests ask for it."""

    def __init__(self, catalogue: Catalogue, engine: EngineClient) -> None:
        self._catalogue = catalogue
        self._engine = engine
        self._uploading = 0

    async def list(self, request: Request) -> Response:
        """List all voices that can be asked for."""
        return Json(_List([_shown(voice) for voice in self._catalogue.listed(ready(self._engine))]))

    async def show(self, request: Request) -> Response:
        """Describe one voice. Raises Refused for one that does not exist."""
        return Json(_shown(self._find(request)))

    async def create(self, request: Request) -> Response:
        """Take in a clip (WAV or FLAC), the words said in it and the consent of who said them."""
        info = ready(self._engine)
        if self._uploading >= _UPLOADS_AT_ONCE:
            message = "Other voices are being uploaded; try again shortly."
            raise Refused("uploads_busy", message, retry_after_s=_RETRY_S)
        self._uploading += 1
        try:
            return Json(_shown(await self._take_in(await _upload(request), info)))
        finally:
            self._uploading -= 1

    async def _take_in(self, upload: Upload, info: EngineInfo) -> Listed:
        if marker := next((marker for marker in info.markers if marker in upload.transcript), ""):
            message = f"The transcript holds {marker!r}, which the checkpoint reserves; remove it."
            raise Refused("invalid_value", message, "transcript")
        try:
            return await self._catalogue.add(upload, self._engine, info)
        except VoiceTaken as error:
            raise Refused("voice_exists", str(error), "name") from None
        except CatalogueFull as error:
            raise Refused("voice_limit_reached", str(error)) from None
        except AudioError as error:
            sentence = f"The clip {str(error).removeprefix('audio: ')}."
            raise Refused("invalid_value", sentence, "audio_sample") from None
        except VoiceRefused as error:
            raise Refused("invalid_value", str(error), "audio_sample") from None
        except EngineLost as error:
            raise Refused("engine_not_ready", str(error), retry_after_s=_RETRY_S) from None
        except OSError as error:
            log.error("voice %s is not kept: %s", upload.name, error)
            file = f" {Path(error.filename).name}" if error.filename else ""
            message = f"The uploads folder cannot keep{file} ({error.strerror}); the server's owner must mend it."
            raise Refused("upload_not_kept", message) from error

    async def delete(self, request: Request) -> Response:
        """Delete an uploaded voice, its clip and its record. Voices of the server itself are refused."""
        voice = self._find(request)
        if not self._catalogue.deletable(voice.name):
            message = f"Voice {voice.name!r} belongs to the server; only uploaded voices can be deleted."
            raise Refused("voice_not_deletable", message)
        try:
            await self._catalogue.delete(voice.name, self._engine)
        except KeyError:
            raise _no_voice(voice.name) from None
        except OSError as error:
            log.error("voice %s is not deleted: %s", voice.name, error)
            message = f"The uploads folder cannot be changed ({error.strerror}); the server's owner must mend it."
            raise Refused("upload_not_deleted", message) from error
        return Json(_Deleted(voice.name))

    def _find(self, request: Request) -> Listed:
        asked = str(request.path_params["id"])
        for voice in self._catalogue.listed(ready(self._engine)):
            if voice.name == asked:
                return voice
        raise _no_voice(asked)


async def _upload(request: Request) -> Upload:
    """Read the form of a request. Raises Refused that names the field."""
    form = await read_form(request, _FIELDS)
    try:
        return await _checked(form, grant_of(request).name or "anonymous")
    finally:
        await form.close()


async def _checked(form: FormData, uploaded_by: str) -> Upload:
    name = _text(form, "name", 64, "Name the voice")
    if not NAME.match(name):
        raise Refused("invalid_value", f"{NAME_RULE[0].upper()}{NAME_RULE[1:]}; choose another.", "name")
    transcript = _text(form, "transcript", _MAX_TRANSCRIPT_CHARS, "Write down the words said in the clip")
    if not any(character.isalnum() for character in transcript):
        raise Refused("invalid_value", "The transcript holds no words; write the clip's.", "transcript")
    wanted = "State the consent of the person who speaks: 'true', a sentence, or the id of a record"
    consent = _text(form, "consent", _MAX_CONSENT_CHARS, wanted)
    if consent.lower() in _NO_CONSENT:
        message = "A voice is cloned only with the consent of the person who speaks; none was stated."
        raise Refused("consent_required", message, "consent")
    sample = form.get("audio_sample")
    if sample is None:
        raise Refused("missing_required_parameter", "Send the clip, WAV or FLAC, as a file.", "audio_sample")
    if not isinstance(sample, UploadFile):
        raise Refused("invalid_value", "Send the clip as a file: the part needs a filename.", "audio_sample")
    return Upload(name, await sample.read(), transcript, consent, uploaded_by)


def _text(form: FormData, field: str, max_chars: int, wanted: str) -> str:
    value = form.get(field)
    if value is None:
        raise Refused("missing_required_parameter", f"{wanted} in the part {field!r}.", field)
    text = text_of(value, field)
    if len(text) > max_chars:
        raise Refused("invalid_value", f"The part {field!r} may have at most {max_chars} characters.", field)
    return text


def _shown(voice: Listed) -> _Shown:
    created = UNSET if voice.created_at is None else voice.created_at
    alias_of = (voice.stands_for or None) if voice.kind == "alias" else UNSET
    return _Shown(voice.name, voice.name, voice.kind, created, alias_of)


def _no_voice(name: str) -> Refused:
    return Refused("voice_not_found", f"There is no voice {name[:64]!r}; GET /v1/audio/voices lists them.", "id")
