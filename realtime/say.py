"""`voiced say`: one text into one file, through the same server and client as everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import UNSET

from clients.python import CallError, Speech, connect
from codec_stream.audio_file import write_wav
from protocol.objects import Generation
from realtime.config import Config
from realtime.serve import describe, follow, running

SAMPLE_RATE = 24000


@dataclass(frozen=True)
class Wish:
    """What to say, how, and where to put it."""

    text: str
    output: str
    voice: str | None
    instructions: str | None
    seed: int | None
    stats: bool
    url: str | None


async def say(wish: Wish, config: Config) -> int:
    """Speak and save; returns the exit status. Ctrl-C cancels it; pressed again, it waits for nothing any more."""
    _cancel_on_interrupt()
    try:
        async with _server(wish, config) as url:
            seed = UNSET if wish.seed is None else wish.seed
            generation = Generation(seed=seed, paced=wish.output == "-")  # a file need not wait for a listener
            key = config.api_keys[0] if config.api_keys else None
            async with connect(
                url, voice=wish.voice, instructions=wish.instructions, generation=generation, api_key=key
            ) as call:
                speech = await call.say(wish.text)
                pcm = await _collect(speech, to_stdout=wish.output == "-")
        return _report(wish, speech, pcm)
    except (CallError, RuntimeError, OSError) as error:
        print(f"voiced: {error}", file=sys.stderr)
        return 1


def _cancel_on_interrupt() -> None:
    loop, speaking = asyncio.get_running_loop(), asyncio.current_task()
    assert speaking is not None

    def interrupted() -> None:
        loop.add_signal_handler(signal.SIGINT, os._exit, 130)  # the engine ends when its other end is gone
        speaking.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupted)


async def _collect(speech: Speech, *, to_stdout: bool) -> bytes:
    chunks = []
    async for chunk in speech:
        if to_stdout:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        chunks.append(chunk)
    return b"".join(chunks)


def _report(wish: Wish, speech: Speech, pcm: bytes) -> int:
    response = speech.response
    assert response is not None
    if response.status == "failed":
        error = response.status_details.error if response.status_details is not None else UNSET
        print(f"voiced: {'the response failed' if error is UNSET else error.message}", file=sys.stderr)
        return 1
    seconds = len(pcm) / 2 / SAMPLE_RATE
    if wish.output != "-":
        write_wav(Path(wish.output), pcm, SAMPLE_RATE)
        print(f"voiced: {seconds:.2f} s of audio in {wish.output}", file=sys.stderr)
    if response.status == "incomplete":
        print("voiced: the speech reached its longest allowed length before it ended by itself", file=sys.stderr)
    if wish.stats and speech.first_audio_at is not None:
        took = time.monotonic() - speech.asked_at
        gaps = f"{len(speech.gaps_s)} gaps, longest {max(speech.gaps_s) * 1e3:.0f} ms" if speech.gaps_s else "no gaps"
        print(
            f"voiced: first audio after {(speech.first_audio_at - speech.asked_at) * 1e3:.0f} ms, "
            f"{seconds:.2f} s of audio in {took:.2f} s ({seconds / took:.1f} x real time), {gaps}",
            file=sys.stderr,
        )
    return 0


@contextlib.asynccontextmanager
async def _server(wish: Wish, config: Config) -> AsyncIterator[str]:
    """The address of a server: the one given, the one that runs where the settings say, or one started here."""
    configured = f"{config.host}:{config.port}"
    if wish.url is not None:
        yield wish.url
    elif (running_there := _ready(configured, config.api_keys)) is not None:
        print(f"voiced: using the server at {configured} ({running_there})", file=sys.stderr)
        yield f"ws://{configured}/v1/realtime"
    else:
        own = msgspec.structs.replace(config, host="127.0.0.1", port=0, drain_s=1.0, tls_cert="", tls_key="")
        async with running(own) as (_, gateway, url):
            info = await follow(gateway.engine)
            print(f"voiced: {describe(info)}", file=sys.stderr)
            yield url


def _ready(address: str, api_keys: list[str]) -> str | None:
    """What runs at an address, if a voiced server is ready there."""
    try:
        headers = {"Authorization": f"Bearer {api_keys[0]}"} if api_keys else {}
        asked = urllib.request.Request(f"http://{address}/readyz", headers=headers)
        with urllib.request.urlopen(asked, timeout=0.5) as answer:
            body = msgspec.json.decode(answer.read())
            return f"checkpoint {body['engine']['checkpoint']}" if body["status"] == "ready" else None
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError):
        return None
