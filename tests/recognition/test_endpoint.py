"""Scope: somebody's transcription endpoint, played by a small server that keeps what it was sent."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import soundfile

from realtime.recognition import endpoint
from realtime.recognition.endpoint import EndpointRecogniser
from realtime.recognition.recogniser import Job, NothingHeard, RecogniserUnavailable
from tests.codec_stream.signals import tone

PCM = tone(440, 24000, 0.5).astype("<i2").tobytes()


class Endpoint:
    """Answers every request with `reply`; a reply of None drops the connection, a number waits so many seconds."""

    def __init__(self, *replies: tuple[int, Any] | float | None) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := (await reader.readline()).decode():
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append((line.split()[1], headers, body))
                reply = self.replies.pop(0)
                if isinstance(reply, float):
                    await asyncio.sleep(reply)
                    return
                if reply is None:
                    return
                content = reply[1] if isinstance(reply[1], bytes) else msgspec.json.encode(reply[1])
                writer.write(f"HTTP/1.1 {reply[0]} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def _asking(served: Endpoint, path: str = "", **settings: str) -> AsyncIterator[EndpointRecogniser]:
    server = await asyncio.start_server(served, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    recogniser = EndpointRecogniser(f"http://{host}:{port}{path}", **settings)
    running = asyncio.create_task(recogniser.run())
    try:
        await recogniser.ready()
        yield recogniser
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()


def _parts(headers: dict[str, str], body: bytes) -> dict[str, bytes]:
    boundary = b"--" + headers["content-type"].partition("boundary=")[2].encode()
    parts = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        parts[head.decode().partition('name="')[2].partition('"')[0]] = content.removesuffix(b"\r\n")
    return parts


async def test_a_wav_file_goes_there_and_its_text_comes_back() -> None:
    served = Endpoint((200, {"text": " Good morning. ", "usage": {"seconds": 1}}))
    async with _asking(served, model="small", key="sk-1") as recogniser:
        assert recogniser.name.startswith("small at 127.0.0.1:")
        said = await recogniser.transcribe(Job(PCM, language="en", prompt="voiced"))
    assert (said.text, said.language, said.duration_s) == ("Good morning.", "en", 0.5)
    ((path, headers, body),) = served.asked
    parts = _parts(headers, body)
    assert path == "/v1/audio/transcriptions" and headers["authorization"] == "Bearer sk-1"
    samples, rate = soundfile.read(io.BytesIO(parts.pop("file")), dtype="int16")
    assert (rate, samples.astype("<i2").tobytes()) == (24000, PCM)
    assert parts == {"model": b"small", "response_format": b"json", "language": b"en", "prompt": b"voiced"}


async def test_words_and_translations_are_asked_for_as_openai_has_them() -> None:
    words = {"text": "Good.", "language": "english", "words": [{"word": "Good.", "start": 0.1, "end": 0.4}]}
    served = Endpoint((200, words), (200, {"text": "Good."}))
    async with _asking(served, "/api/v1/audio/transcriptions") as recogniser:
        (word,) = (await recogniser.transcribe(Job(PCM, words=True))).words
        assert (word.text, word.start_s, word.end_s) == ("Good.", 0.1, 0.4)
        assert (await recogniser.transcribe(Job(PCM, language="fr", translate=True))).language == "en"
    (first, headers, body), (second, later, other) = served.asked
    assert (first, second) == ("/api/v1/audio/transcriptions", "/api/v1/audio/translations")
    assert _parts(headers, body)["timestamp_granularities[]"] == b"word"
    assert _parts(later, other).keys() == {"model", "response_format", "file"}


async def test_a_text_without_words_is_nothing() -> None:
    async with _asking(Endpoint((200, {"text": " … "}))) as recogniser:
        with pytest.raises(NothingHeard):
            await recogniser.transcribe(Job(PCM))


@pytest.mark.parametrize(
    ("replies", "sentence"),
    [
        ([(401, {"error": {"message": "Wrong key."}})], r"refuses: Wrong key\.$"),
        ([(500, b"<html>")], r"refuses: status 500\.$"),
        ([(200, b"<html>")], r"answers what is no transcription\.$"),
        ([(200, {"words": []})], r"answers what is no transcription\.$"),
        ([None, None], r"cannot be reached: .*\.$"),
    ],
)
async def test_every_failure_is_one_sentence_that_names_the_host(replies: list[Any], sentence: str) -> None:
    async with _asking(Endpoint(*replies)) as recogniser:
        with pytest.raises(RecogniserUnavailable, match=r"^The recogniser at 127\.0\.0\.1:\d+ " + sentence):
            await recogniser.transcribe(Job(PCM))


async def test_a_kept_connection_that_was_closed_meanwhile_is_tried_again_once() -> None:
    async with _asking(Endpoint(None, (200, {"text": "Good."}))) as recogniser:
        assert (await recogniser.transcribe(Job(PCM))).text == "Good."


async def test_nobody_waits_for_ever_and_no_more_than_eight_of_a_kind_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_ANSWER_S", 0.2)
    async with _asking(Endpoint(*[1.0] * 8)) as recogniser:
        jobs = [asyncio.create_task(recogniser.transcribe(Job(PCM))) for _ in range(9)]
        said = await asyncio.gather(*jobs, return_exceptions=True)
    assert str(said[8]) == "Too many recordings wait for the recogniser; try again shortly."
    assert all("did not answer in time" in str(error) for error in said[:8])


async def test_an_endpoint_that_is_not_there_is_said() -> None:
    with pytest.raises(RecogniserUnavailable, match=r"cannot be reached"):
        await EndpointRecogniser("http://127.0.0.1:9").transcribe(Job(PCM))


def test_a_url_without_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names no host"):
        EndpointRecogniser("http:///v1")
