"""Holds a spoken conversation from a terminal (`voiced talk`), with recordings or typed words as the questions."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from clients.python import Conversation, Speech, Turn, VoicedError, connect
from codec_stream.audio_file import read_reference
from codec_stream.errors import AudioError
from codec_stream.pcm import to_pcm16
from codec_stream.rate import SAMPLE_RATE
from protocol.objects import InputText
from realtime.commands.reach import reached
from realtime.commands.say import write
from realtime.config import Config


@dataclass(frozen=True)
class Talk:
    """Says what to ask, and where the answers go.

    `questions` are names of sound files; with none of them, the lines of standard input are asked. `output` is the
    sound file that the answers are written to. `as_json` has the turns printed as JSON. `silence_ms` of silence end a
    turn. `url` names the server.
    """

    questions: list[str]
    output: str | None
    as_json: bool
    silence_ms: int
    url: str | None


async def talk(wish: Talk, config: Config) -> int:
    """Hold the conversation and return the exit status. What goes wrong is told in one sentence on stderr."""
    try:
        recordings = [_recording(name) for name in wish.questions]
        own = msgspec.structs.replace(config, brain=config.brain or ("" if config.brain_url else "rules"))
        async with reached(wish.url, own) as (url, tls):
            key = config.api_keys[0] if config.api_keys else None
            async with connect(url, api_key=key, tls=tls) as conversation:
                if recordings:
                    return await _ask_aloud(conversation, wish, recordings)
                return await _type(conversation, wish)
    except (VoicedError, AudioError, RuntimeError, OSError) as error:
        print(f"voiced: {error}", file=sys.stderr)
        return 1


def _recording(name: str) -> bytes:
    """Read the sound file of a question: WAV or FLAC of up to 30 s -> 24 kHz PCM. Raises AudioError."""
    return to_pcm16(read_reference(Path(name), sample_rate=SAMPLE_RATE))


async def _ask_aloud(conversation: Conversation, wish: Talk, recordings: list[bytes]) -> int:
    session = await conversation.listen(silence_ms=wish.silence_ms)
    listening = session.voiced.listening
    if isinstance(listening, bool) or not listening.transcription:
        print("voiced: the server does not recognise speech; see --recogniser of voiced serve", file=sys.stderr)
        return 1
    answers, turns = b"", []
    for name, pcm in zip(wish.questions, recordings, strict=True):
        turn = await conversation.speak(pcm)
        answers += b"".join(part for _, part in turn.heard)
        turns.append(_told(name, turn))
        if not wish.as_json:
            _print_turn(turn)
    if wish.output is not None:
        write(Path(wish.output), answers)
    if wish.as_json:
        print(json.dumps(turns[0] if len(turns) == 1 else {"turns": turns}, indent=2))
    return 0 if all(turn["answer"] for turn in turns) else 1


def _told(name: str, turn: Turn) -> dict[str, Any]:
    answer = "" if turn.answer is None else turn.answer.transcript
    told = {"question": name, "transcript": turn.transcript, "answer": answer}
    legs = {f"{leg}_ms": after for leg, after in turn.legs_ms.items()}
    return told | legs | ({"trouble": turn.trouble} if turn.trouble else {})


def _print_turn(turn: Turn) -> None:
    print(f"you    {turn.transcript or '…'}")
    print(f"voice  {turn.answer.transcript if turn.answer is not None else turn.trouble or 'said nothing'}")
    legs = [f"{name.replace('_', ' ')} {after} ms" for name, after in turn.legs_ms.items() if after is not None]
    print(f"       after your last sound: {', '.join(legs)}\n")


async def _type(conversation: Conversation, wish: Talk) -> int:
    """Answer typed lines, one after another, until there are no more."""
    answers = b""
    async for line in _lines():
        await conversation.add("user", InputText(text=line))
        speech: Speech = await conversation.respond()
        pcm = await speech.read()
        answers += pcm
        print(f"voice  {speech.transcript}   ({len(pcm) / 2 / SAMPLE_RATE:.1f} s)")
    if wish.output is not None and answers:
        write(Path(wish.output), answers)
    return 0


async def _lines() -> AsyncIterator[str]:
    prompts = sys.stdin.isatty()
    while True:
        if prompts:
            print("you    ", end="", flush=True)
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            return
        if line.strip():
            yield line.strip()
