"""`/v1/audio/transcriptions` and `/v1/audio/translations`: a recording in, what is said in it out.

A recording is understood in pieces, so that turns of conversations do not wait for a long one. With `stream` the text
of each leaves as soon as it is there. What goes wrong after the first of them breaks the transfer off, so that nobody
takes half a text for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from typing import TypeVar

from msgspec import UNSET
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from codec_stream.errors import AudioError
from codec_stream.media_file import read_media
from protocol.errors import Refused
from protocol.transcriptions import (
    GRANULARITIES,
    LANGUAGES,
    MAX_FILE_BYTES,
    MAX_PROMPT_CHARS,
    TRANSCRIPT_FORMATS,
    DurationUsage,
    Granularity,
    TranscriptFormat,
    Transcription,
    TranscriptSegment,
    TranscriptTextDelta,
    TranscriptTextDone,
    TranscriptWord,
    VerboseTranscription,
    srt,
    transcript_event,
    vtt,
)
from realtime.http.forms import read_form, text_of
from realtime.http.replies import Json
from realtime.http.streamed_response import StreamedResponse
from realtime.recognition.pieces import joined, seconds, understood
from realtime.recognition.recogniser import Job, NothingHeard, Recogniser, RecogniserUnavailable, Transcript

log = logging.getLogger("voiced.recognition")

MAX_SECONDS = 1500.0
AT_ONCE = 3
STALL_S = 15.0
_RETRY_S = 2
_GRANULARITIES = ("timestamp_granularities[]", "timestamp_granularities")
_FIELDS = ("file", "model", "prompt", "response_format", "temperature")
_TRANSCRIPTION_FIELDS = (*_FIELDS, "language", "stream", *_GRANULARITIES)
_MAX_NAME_CHARS = 256
_EVENTS = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # a proxy that collects the whole answer would make everybody wait
}

_T = TypeVar("_T")
_Choice = TypeVar("_Choice", bound=str)


@dataclass(frozen=True)
class _Asked:
    """A request: the file, and what is wanted of it."""

    file: bytes
    language: str
    prompt: str
    format: TranscriptFormat
    granularities: tuple[Granularity, ...]
    stream: bool


class TranscriptionRoute:
    """Serves one of the two as an ASGI application."""

    def __init__(self, recogniser: Recogniser, *, translate: bool = False, stall_s: float = STALL_S) -> None:
        """With `translate` the text is English whatever is said. A client that takes nothing for `stall_s` seconds is
        dropped."""
        self._recogniser = recogniser
        self._translate = translate
        self._stall_s = stall_s
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises Refused for what is wrong with it or with the moment."""
        self._check_ready()
        with self._place(), contextlib.suppress(ClientDisconnect, ConnectionError):
            asked = await self._read(Request(scope, receive))
            response = StreamedResponse(scope, receive, send, self._stall_s)
            job = await self._job(asked)
            if asked.stream:
                await _while_there(response, self._stream(job, response))
                return
            said = await _while_there(response, self._whole(job))
            await self._answer(asked, said, seconds(job.pcm))(scope, receive, send)

    def _check_ready(self) -> None:
        """Raises Refused where nobody understands speech."""
        if not self._recogniser.name:
            why = self._recogniser.why or "The recogniser is not ready yet; try again shortly."
            raise Refused("recogniser_unavailable", why, retry_after_s=None if self._recogniser.why else _RETRY_S)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if self._under_way >= AT_ONCE:
            message = "Other recordings are being listened to; try again shortly."
            raise Refused("recogniser_unavailable", message, retry_after_s=_RETRY_S)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _read(self, request: Request) -> _Asked:
        fields = _FIELDS if self._translate else _TRANSCRIPTION_FIELDS
        form = await read_form(request, fields, repeated=_GRANULARITIES)
        try:
            return await _asked(form, self._recogniser.languages)
        finally:
            await form.close()

    async def _job(self, asked: _Asked) -> Job:
        try:
            pcm = await asyncio.to_thread(read_media, asked.file, max_seconds=MAX_SECONDS)
        except AudioError as error:
            raise Refused("invalid_value", f"The file {str(error).removeprefix('audio: ')}.", "file") from None
        # behind the turns of conversations: somebody waits for each of those
        words = "word" in asked.granularities
        return Job(pcm, "early", asked.language, asked.prompt, words=words, translate=self._translate)

    async def _pieces(self, job: Job) -> AsyncIterator[tuple[float, Transcript]]:
        """What is said in each piece, if anything. Raises Refused."""
        try:
            async for part in understood(job, self._recogniser.transcribe):
                yield part
        except NothingHeard:
            return
        except RecogniserUnavailable as error:
            raise Refused("recogniser_unavailable", str(error), retry_after_s=_RETRY_S) from None

    async def _whole(self, job: Job) -> Transcript:
        return joined([part async for part in self._pieces(job)], seconds(job.pcm))

    async def _stream(self, job: Job, response: StreamedResponse) -> None:
        texts: list[str] = []
        try:
            async for _, part in self._pieces(job):
                if not response.begun:
                    await response.begin(_EVENTS)
                text = f" {part.text}" if texts else part.text
                texts.append(text)
                await response.write(transcript_event(TranscriptTextDelta(text)))
        except Refused as refused:
            if response.begun:
                log.warning("a transcription breaks off: %s", refused)
                raise ConnectionError("the recogniser failed") from refused
            raise
        if not response.begun:
            await response.begin(_EVENTS)
        await response.write(transcript_event(TranscriptTextDone("".join(texts))), last=True)

    def _answer(self, asked: _Asked, said: Transcript, duration_s: float) -> Response:
        usage = DurationUsage(math.ceil(duration_s))
        segments = [
            TranscriptSegment(
                number,
                each.start_s,
                each.end_s,
                each.text,
                each.temperature,
                each.avg_logprob,
                each.compression_ratio,
                each.no_speech_prob,
            )
            for number, each in enumerate(said.segments)
        ]
        match asked.format:
            case "text":
                return PlainTextResponse(f"{said.text}\n")
            case "srt":
                return PlainTextResponse(srt(segments))
            case "vtt":
                return PlainTextResponse(vtt(segments))
            case "json":
                return Json(Transcription(said.text, usage))
        words = [TranscriptWord(word.text, word.start_s, word.end_s) for word in said.words]
        return Json(
            VerboseTranscription(
                "translate" if self._translate else "transcribe",
                LANGUAGES.get(said.language, said.language),
                duration_s,
                said.text,
                usage,
                segments if "segment" in asked.granularities else UNSET,
                words if "word" in asked.granularities else UNSET,
            )
        )


async def _while_there(response: StreamedResponse, work: Coroutine[None, None, _T]) -> _T:
    """Do the work, unless the client leaves first: then it is dropped. Raises ClientDisconnect."""
    working, gone = asyncio.create_task(work), asyncio.create_task(response.over())
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _asked(form: FormData, languages: tuple[str, ...]) -> _Asked:
    _text(form, "model", _MAX_NAME_CHARS)  # any will do: the one that is here answers
    _number(form, "temperature", 0.0, 1.0)  # the likeliest text is the answer, whatever it says
    format = _choice(form, "response_format", TRANSCRIPT_FORMATS, "json")
    stream = _choice(form, "stream", ("true", "false", "True", "False", "1", "0"), "false").lower() in ("true", "1")
    if stream and format not in ("json", "text"):
        raise Refused("invalid_value", f"The format {format!r} cannot be streamed; use 'json'.", "stream")
    return _Asked(
        await _file(form),
        _language(form, languages),
        _text(form, "prompt", MAX_PROMPT_CHARS),
        format,
        _granularities(form, format),
        stream,
    )


async def _file(form: FormData) -> bytes:
    file = form.get("file")
    if file is None:
        raise Refused("missing_required_parameter", "Send the recording as a file in the part 'file'.", "file")
    if not isinstance(file, UploadFile):
        raise Refused("invalid_value", "Send the recording as a file: the part needs a filename.", "file")
    data = await file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        message = f"The file is larger than {MAX_FILE_BYTES >> 20} MiB; send it in parts, or as MP3."
        raise Refused("invalid_value", message, "file")
    return data


def _language(form: FormData, languages: tuple[str, ...]) -> str:
    language = _text(form, "language", _MAX_NAME_CHARS).lower().partition("-")[0]
    if language and languages and language not in languages:
        message = f"The language {language[:20]!r} is not understood here; send one of {', '.join(languages)}."
        raise Refused("invalid_value", message, "language")
    return language


def _granularities(form: FormData, format: TranscriptFormat) -> tuple[Granularity, ...]:
    asked: set[Granularity] = set()
    for field in _GRANULARITIES:
        for value in form.getlist(field):
            asked.add(_one_of(text_of(value, field), field, GRANULARITIES))
        if asked and format != "verbose_json":
            message = "Times come with the response_format 'verbose_json' alone; ask for that."
            raise Refused("invalid_value", message, field)
    return tuple(asked) or ("segment",)


def _choice(form: FormData, field: str, choices: tuple[_Choice, ...], default: _Choice) -> _Choice:
    value = _text(form, field, _MAX_NAME_CHARS)
    return _one_of(value, field, choices) if value else default


def _one_of(value: str, field: str, choices: tuple[_Choice, ...]) -> _Choice:
    if value not in choices:
        message = f"The part {field!r} is {value[:40]!r}; send one of {', '.join(choices)}."
        raise Refused("invalid_value", message, field)
    return value


def _number(form: FormData, field: str, least: float, most: float) -> None:
    value = _text(form, field, _MAX_NAME_CHARS)
    try:
        good = not value or least <= float(value) <= most
    except ValueError:
        good = False
    if not good:
        raise Refused("invalid_value", f"The part {field!r} has to be a number from {least:g} to {most:g}.", field)


def _text(form: FormData, field: str, max_chars: int) -> str:
    value = form.get(field)
    text = "" if value is None else text_of(value, field)
    if len(text) > max_chars:
        raise Refused("invalid_value", f"The part {field!r} may have at most {max_chars} characters.", field)
    return text
