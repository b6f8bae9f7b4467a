"""Plays the listeners of `voiced bench serve`, in a process of its own so that it does not slow what it measures.

`python -m realtime.bench.listeners PROTOCOL ADDRESS COUNT SECONDS TEXT` has COUNT listeners ask for TEXT again and
again for SECONDS over PROTOCOL (realtime, speech, cartesia or webrtc), interrupts every fourth time, and prints one
JSON object with every measurement.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from websockets.asyncio.client import connect as ws_connect

from clients.python import VoicedError, connect
from codec_stream.rate import SAMPLE_RATE
from protocol.client_events import ResponseCancel
from realtime.bench.webrtc_listener import Unspoken, listener

_INTERRUPT_EVERY = 4
_SILENT_S = 0.5


class Refusal(Exception):
    """Says that the server would not speak."""


@dataclass
class Heard:
    """Holds what all listeners heard, in seconds."""

    first_audio_s: list[float] = field(default_factory=list)
    longest_gap_s: list[float] = field(default_factory=list)  # one for each response
    silence_s: list[float] = field(default_factory=list)  # from asking to stop to the last audio that still came
    audio_s: float = 0.0
    refused: int = 0


@dataclass
class Ear:
    """Follows one response as its listener hears it: played from its first audio on, silent whenever it runs dry."""

    asked_at: float
    first_at: float | None = None
    last_at: float = 0.0
    dry_at: float = 0.0
    longest_gap_s: float = 0.0
    samples: int = 0

    def hear(self, pcm: bytes) -> None:
        """Take 16-bit mono PCM that has arrived."""
        now = self.last_at = time.monotonic()
        if self.first_at is None:
            self.first_at = now
        else:
            self.longest_gap_s = max(self.longest_gap_s, now - self.dry_at)
        self.dry_at = max(self.dry_at, now) + len(pcm) / 2 / SAMPLE_RATE
        self.samples += len(pcm) // 2


Say = Callable[[str, asyncio.Event], AsyncIterator[bytes]]
"""Has a text spoken, and yields PCM as it comes. Once the event is set the client asks for silence. Raises Refusal."""


@contextlib.asynccontextmanager
async def realtime(address: str) -> AsyncIterator[Say]:
    """Speak over `/v1/realtime`, with our own client."""
    async with connect(f"ws://{address}/v1/realtime") as conversation:

        async def say(text: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
            try:
                speech = await conversation.say(text)
            except VoicedError as error:
                raise Refusal(str(error)) from error
            asked = False
            async for pcm in speech:
                yield pcm
                if stop.is_set() and not asked:
                    asked = True
                    await conversation.send(ResponseCancel())
            if speech.response is not None and speech.response.status == "failed":
                raise Refusal("the response failed")

        yield say


@contextlib.asynccontextmanager
async def cartesia(address: str) -> AsyncIterator[Say]:
    """Speak over `/tts/websocket`, with a new context each time."""
    async with ws_connect(f"ws://{address}/tts/websocket", compression=None, max_size=1 << 24) as socket:
        voice = {"mode": "id", "id": "alloy"}
        form = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE}
        turns = 0

        async def say(text: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
            nonlocal turns
            turns += 1
            context, asked = f"turn-{turns}", False
            request = {"context_id": context, "model_id": "sonic", "transcript": text, "continue": False}
            await socket.send(json.dumps({**request, "voice": voice, "output_format": form}))
            while True:
                try:
                    # a context that was cancelled ends without a word
                    event = json.loads(await asyncio.wait_for(socket.recv(), _SILENT_S if asked else None))
                except TimeoutError:
                    return
                if event["type"] == "chunk":
                    yield base64.b64decode(event["data"])
                    if stop.is_set() and not asked:
                        asked = True
                        await socket.send(json.dumps({"context_id": context, "cancel": True}))
                elif event["type"] == "error":
                    raise Refusal(event["message"])
                elif event["type"] == "done":
                    return

        yield say


@contextlib.asynccontextmanager
async def speech(address: str) -> AsyncIterator[Say]:
    """Speak over `POST /v1/audio/speech` as raw PCM; to stop is to hang up."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:

        async def say(text: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
            connection = http.client.HTTPConnection(address, timeout=60)
            body = json.dumps({"model": "voiced", "input": text, "voice": "alloy", "response_format": "pcm"})

            def ask() -> http.client.HTTPResponse:
                connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
                return connection.getresponse()

            try:
                answer = await loop.run_in_executor(thread, ask)
                if answer.status != 200:
                    raise Refusal(f"HTTP {answer.status}")
                odd = b""
                while not stop.is_set() and (data := await loop.run_in_executor(thread, answer.read1)):
                    data = odd + data
                    odd = data[len(data) & ~1 :]
                    yield data[: len(data) & ~1]
            finally:
                connection.close()

        yield say


@contextlib.asynccontextmanager
async def webrtc(address: str) -> AsyncIterator[Say]:
    """Speak over `/v1/realtime/calls`, where the server plays: what is yielded are the packets that have speech in
    them.
    """
    async with listener(address) as listening:

        async def say(text: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
            try:
                async for pcm in listening.say(text, stop):
                    yield pcm
            except Unspoken as error:
                raise Refusal(str(error)) from error

        yield say


PROTOCOLS = {"realtime": realtime, "speech": speech, "cartesia": cartesia, "webrtc": webrtc}


async def main(protocol: str, address: str, count: int, seconds: float, text: str) -> Heard:
    """Listen with `count` clients for `seconds`, and return what they heard."""
    heard = Heard()
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        for index in range(count):
            tasks.create_task(_listen(protocol, address, index, until, text, heard))
    return heard


async def _listen(protocol: str, address: str, index: int, until: float, text: str, heard: Heard) -> None:
    chance = random.Random(index)
    await asyncio.sleep(chance.uniform(0, 2.0))  # so that clients do not call in step
    async with PROTOCOLS[protocol](address) as say:
        turn = index
        while time.monotonic() < until:
            turn += 1
            await _one(say, text, turn % _INTERRUPT_EVERY == 0, chance, heard)
            await asyncio.sleep(chance.uniform(0.2, 0.6))


async def _one(say: Say, text: str, interrupt: bool, chance: random.Random, heard: Heard) -> None:
    ear, stop, stopped_at = Ear(time.monotonic()), asyncio.Event(), 0.0
    stop_after = chance.uniform(0.3, 2.0)
    try:
        async for pcm in say(text, stop):
            ear.hear(pcm)
            heard.audio_s += len(pcm) / 2 / SAMPLE_RATE
            if interrupt and not stop.is_set() and ear.first_at and ear.last_at - ear.first_at > stop_after:
                stopped_at = ear.last_at
                stop.set()
    except Refusal:
        heard.refused += 1
        return
    if ear.first_at is None:
        return
    heard.first_audio_s.append(ear.first_at - ear.asked_at)
    heard.longest_gap_s.append(ear.longest_gap_s)
    if stop.is_set():
        heard.silence_s.append(ear.last_at - stopped_at)
    else:
        await asyncio.sleep(max(0.0, ear.dry_at - time.monotonic()))  # listen to the end, as a person would


if __name__ == "__main__":
    _protocol, _address, _count, _seconds, _text = sys.argv[1:]
    print(json.dumps(asdict(asyncio.run(main(_protocol, _address, int(_count), float(_seconds), _text)))))
