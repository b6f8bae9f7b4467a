"""The listening half of `voiced bench serve`, in a process of its own so that it does not slow what it measures.

`python -m realtime.bench.listeners URL COUNT SECONDS TEXT` opens COUNT calls, has each speak TEXT again and again for
SECONDS, interrupts every fourth time, and prints one JSON object with every measurement.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field

from clients.python import Call, CallError, connect
from protocol.client_events import ResponseCancel

_INTERRUPT_EVERY = 4


@dataclass
class Heard:
    """What all listeners saw, in seconds."""

    first_audio_s: list[float] = field(default_factory=list)
    longest_gap_s: list[float] = field(default_factory=list)  # one for each response
    silence_s: list[float] = field(default_factory=list)  # from asking to stop to the last audio that still came
    audio_s: float = 0.0
    refused: int = 0


async def main(url: str, count: int, seconds: float, text: str) -> Heard:
    """Listen with `count` clients."""
    heard = Heard()
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        for index in range(count):
            tasks.create_task(_listen(url, index, until, text, heard))
    return heard


async def _listen(url: str, index: int, until: float, text: str, heard: Heard) -> None:
    chance = random.Random(index)
    await asyncio.sleep(chance.uniform(0, 2.0))  # nobody calls in step
    async with connect(url) as call:
        turn = index
        while time.monotonic() < until:
            turn += 1
            await _one(call, text, turn % _INTERRUPT_EVERY == 0, chance, heard)
            await asyncio.sleep(chance.uniform(0.2, 0.6))


async def _one(call: Call, text: str, interrupt: bool, chance: random.Random, heard: Heard) -> None:
    try:
        speech = await call.say(text)
    except CallError:
        heard.refused += 1
        return
    stopped_at = None
    last = 0.0
    stop_after = chance.uniform(0.3, 2.0)
    async for pcm in speech:
        last = time.monotonic()
        heard.audio_s += len(pcm) / 2 / 24000
        if interrupt and stopped_at is None and speech.first_audio_at and last - speech.first_audio_at > stop_after:
            stopped_at = last
            await call.send(ResponseCancel())
    if speech.response is not None and speech.response.status == "failed":
        heard.refused += 1
        return
    if speech.first_audio_at is not None:
        heard.first_audio_s.append(speech.first_audio_at - speech.asked_at)
        heard.longest_gap_s.append(max(speech.gaps_s, default=0.0))
    if stopped_at is not None:
        heard.silence_s.append(max(0.0, last - stopped_at))
    else:
        # listen to the end before speaking again, as a person would
        await asyncio.sleep(max(0.0, speech.samples / 24000 - speech.played_ms(time.monotonic()) / 1000))


if __name__ == "__main__":
    _url, _count, _seconds, _text = sys.argv[1:]
    print(json.dumps(asyncio.run(main(_url, int(_count), float(_seconds), _text)).__dict__))
