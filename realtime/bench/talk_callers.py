"""Plays the callers of `voiced bench talk`, in a process of its own so that it does not slow what it measures.

`python -m realtime.bench.talk_callers ADDRESS COUNT TURNS SILENCE_MS FILE...` has COUNT callers speak the files, TURNS
each, a turn after the answer to the one before, and prints one JSON object with every measurement.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clients.python import Turn, connect
from codec_stream.audio_file import read_reference
from codec_stream.pcm import to_pcm16
from codec_stream.rate import SAMPLE_RATE

_LATE_S = 0.02
_GAP_S = 0.1


@dataclass
class Heard:
    """What all callers heard; times in seconds after the last sound of a question."""

    sound_s: list[float] = field(default_factory=list)
    over_s: list[float] = field(default_factory=list)
    text_in_time: int = 0  # turns whose words were there when they were over
    gaps: int = 0
    unanswered: int = 0

    def take(self, turn: Turn) -> None:
        """Count a turn and its answer."""
        if turn.over_at is not None:
            self.over_s.append(turn.over_at - turn.said_at)
            self.text_in_time += turn.text_at is not None and turn.text_at <= turn.over_at + _LATE_S
        if turn.first_sound_at is None:
            self.unanswered += 1
        else:
            self.sound_s.append(turn.first_sound_at - turn.said_at)
        self.gaps += _gaps(turn)


def _gaps(turn: Turn) -> int:
    """Count the silences of more than 0.1 s in which a player that began with the first audio had nothing to play."""
    gaps, dry_at = 0, None
    for at, pcm in turn.heard:
        gaps += dry_at is not None and at - dry_at > _GAP_S
        dry_at = max(at, dry_at or at) + len(pcm) / 2 / SAMPLE_RATE
    return gaps


async def _call(address: str, number: int, turns: int, silence_ms: int, questions: list[bytes], heard: Heard) -> None:
    async with connect(f"http://{address}") as conversation:
        await conversation.listen(silence_ms=silence_ms)
        await asyncio.sleep(0.7 * number)  # people do not speak in chorus
        for index in range(turns):
            heard.take(await conversation.speak(questions[(number + index) % len(questions)]))


async def _main(address: str, count: int, turns: int, silence_ms: int, files: list[str]) -> None:
    questions = [to_pcm16(read_reference(Path(file), sample_rate=SAMPLE_RATE)) for file in files]
    heard = Heard()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(_call(address, number, turns, silence_ms, questions, heard))
    print(json.dumps(asdict(heard)))


if __name__ == "__main__":
    _, place, callers, each, silence, *spoken = sys.argv
    asyncio.run(_main(place, int(callers), int(each), int(silence), spoken))
