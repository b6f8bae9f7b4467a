"""Somebody's transcription endpoint, as OpenAI has it, as a recogniser: a WAV file goes there, its text comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from codec_stream.audio_file import wav_header
from codec_stream.rate import SAMPLE_RATE
from realtime.recognition.pieces import seconds
from realtime.recognition.recogniser import Job, Kind, NothingHeard, RecogniserUnavailable, Transcript, Word

if TYPE_CHECKING:
    import httpx2

_MODEL = "whisper-1"
_MOST_OF_A_KIND = 8
_CONNECT_S = 3.0
_ANSWER_S = 30.0
_SHOWN = 200
_NO_WORDS = "There are no words in the audio."


class _Word(msgspec.Struct):
    word: str
    start: float
    end: float


class _Answer(msgspec.Struct):
    text: str
    language: str = ""
    words: list[_Word] | None = None


class _Error(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Error


class EndpointRecogniser:
    """The endpoint at a URL, which is that of the API (`https://host/v1`) or of its transcriptions."""

    languages: tuple[str, ...] = ()
    why = ""

    def __init__(self, url: str, model: str = "", key: str = "") -> None:
        """`model` is asked for by name, whisper-1 by default; `key` is sent as a bearer token. ValueError for a URL
        without a host."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError(f"{url!r} names no host")
        path = parts.path.rstrip("/").removesuffix("/audio/transcriptions") or "/v1"
        self._audio = f"{parts.scheme}://{parts.netloc}{path}/audio"
        self._host = parts.netloc.rpartition("@")[2]
        self._model = model or _MODEL
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._under_way: dict[Kind, int] = {}
        self._client: httpx2.AsyncClient | None = None

    @property
    def name(self) -> str:
        """What clients are told: the model and whose it is."""
        return f"{self._model} at {self._host}"

    async def run(self) -> None:
        """Keep connections open between jobs, until cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            client, self._client = self._client, None
            if client is not None:
                await client.aclose()

    async def ready(self) -> None:
        """Nobody needs to wait."""

    def wake(self) -> None:
        """Nothing needs to be loaded."""

    async def transcribe(self, job: Job) -> Transcript:
        """Have a job's audio understood there. Raises NothingHeard and RecogniserUnavailable."""
        with self._place(job.kind):
            answer = await self._ask(job)
        if not any(map(str.isalnum, answer.text)):
            raise NothingHeard(_NO_WORDS)
        words = tuple(Word(word.word, word.start, word.end) for word in answer.words or ())
        language = "en" if job.translate else job.language or answer.language
        return Transcript(answer.text.strip(), language, seconds(job.pcm), words=words)

    @contextlib.contextmanager
    def _place(self, kind: Kind) -> Iterator[None]:
        if self._under_way.get(kind, 0) >= _MOST_OF_A_KIND:
            raise RecogniserUnavailable("Too many recordings wait for the recogniser; try again shortly.")
        self._under_way[kind] = self._under_way.get(kind, 0) + 1
        try:
            yield
        finally:
            self._under_way[kind] -= 1

    async def _ask(self, job: Job) -> _Answer:
        import httpx2

        if self._client is None:
            timeout = httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S)
            self._client = httpx2.AsyncClient(headers=self._headers, timeout=timeout)
        url = f"{self._audio}/{'translations' if job.translate else 'transcriptions'}"
        wav = wav_header(SAMPLE_RATE, frames=len(job.pcm) // 2) + job.pcm
        for last in (False, True):
            try:
                reply = await self._client.post(
                    url, data=self._fields(job), files={"file": ("audio.wav", wav, "audio/wav")}
                )
                return self._read(reply.status_code, reply.content)
            except httpx2.TimeoutException:
                raise RecogniserUnavailable(f"The recogniser at {self._host} did not answer in time.") from None
            except httpx2.RemoteProtocolError as error:  # a kept connection that it closed meanwhile
                if last:
                    raise self._unreachable(error) from error
            except httpx2.HTTPError as error:
                raise self._unreachable(error) from error
        raise AssertionError("one of the two tries returns or raises")

    def _fields(self, job: Job) -> Mapping[str, str]:
        fields = {"model": self._model, "response_format": "verbose_json" if job.words else "json"}
        if job.language and not job.translate:
            fields["language"] = job.language
        if job.prompt:
            fields["prompt"] = job.prompt
        if job.words:
            fields["timestamp_granularities[]"] = "word"
        return fields

    def _read(self, status: int, body: bytes) -> _Answer:
        if status != 200:
            try:
                said = msgspec.json.decode(body, type=_Refusal).error.message
            except msgspec.DecodeError:
                said = f"status {status}"
            raise RecogniserUnavailable(f"The recogniser at {self._host} refuses: {said[:_SHOWN].rstrip('.')}.")
        try:
            return msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError:
            raise RecogniserUnavailable(f"The recogniser at {self._host} answers what is no transcription.") from None

    def _unreachable(self, error: Exception) -> RecogniserUnavailable:
        said = str(error) or type(error).__name__
        return RecogniserUnavailable(f"The recogniser at {self._host} cannot be reached: {said[:_SHOWN].rstrip('.')}.")
