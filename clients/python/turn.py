"""Speaks to the server: one turn of a conversation, said aloud in real time, and the times of what came of it."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.client_events import InputAudioAppend
from protocol.server_events import (
    AudioDelta,
    InputTranscriptionCompleted,
    InputTranscriptionFailed,
    OutputItemAdded,
    ResponseDone,
    ServerEvent,
    SpeechStopped,
)

if TYPE_CHECKING:
    from clients.python.conversation import Speech

_RATE = 24000
_PIECE_S = 0.02
_PIECE_BYTES = int(_RATE * _PIECE_S) * 2
_AUDIBLE = 330
"""The level of the quietest sample that can be heard, -40 dB of full scale: what is quieter counts as silence."""


@dataclass
class Turn:
    """Holds what was said in one turn, and the answer. Times are those of `time.monotonic`; None is what never came.

    `transcript` is what the server heard, `trouble` why it heard or answered nothing. `answer` is the response to the
    turn. `heard` are the pieces of its 24 kHz PCM, each with the time at which it came.

    `said_at` is when the last sound of the question left, `over_at` when the server said that the turn was over, and
    `text_at` when its words came, or that there are none. `first_text_at` and `first_audio_at` are when the answer's
    first item and its first audio came, `first_sound_at` when there was something to hear in it.
    """

    said_at: float = 0.0
    over_at: float | None = None
    text_at: float | None = None
    first_text_at: float | None = None
    first_audio_at: float | None = None
    first_sound_at: float | None = None
    transcript: str = ""
    trouble: str = ""
    answer: Speech | None = None
    heard: list[tuple[float, bytes]] = field(default_factory=list)
    _item_id: str = ""
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def legs_ms(self) -> dict[str, int | None]:
        """Return the milliseconds from the last sound of the question to each leg; None for one that never came."""
        legs = {
            "turn_over": self.over_at,
            "text": self.text_at,
            "first_token": self.first_text_at,
            "first_audio": self.first_audio_at,
            "first_sound": self.first_sound_at,
        }
        return {name: None if at is None else round((at - self.said_at) * 1000) for name, at in legs.items()}

    async def over(self) -> None:
        """Wait until the answer is over, or until there will be none."""
        await self._over.wait()

    def take(self, event: ServerEvent, now: float) -> None:
        """Note what an event says of this turn."""
        match event:
            case SpeechStopped():
                self.over_at, self._item_id = now, event.item_id
            case InputTranscriptionCompleted():
                self.text_at, self.transcript = now, event.transcript
            case InputTranscriptionFailed():
                self.text_at, self.trouble = now, event.error.message if event.error.message else ""
                if self.answer is None:
                    self._over.set()
            case OutputItemAdded():
                self.first_text_at = self.first_text_at or now
            case AudioDelta():
                self._take_audio(event.delta, now)
            case ResponseDone():
                if self.answer is not None and event.response.id == self.answer.response_id:
                    self._over.set()

    def begin_answer(self, speech: Speech) -> None:
        """Note the response to this turn: the first that begins after it is over."""
        if self.over_at is not None and self.answer is None:
            self.answer = speech

    def _take_audio(self, pcm: bytes, now: float) -> None:
        self.first_audio_at = self.first_audio_at or now
        self.heard.append((now, pcm))
        if self.first_sound_at is None and (first := first_sound(pcm)) is not None:
            begins = max(now, self.first_audio_at + sum(len(part) for _, part in self.heard[:-1]) / 2 / _RATE)
            self.first_sound_at = begins + first / _RATE


async def say_aloud(turn: Turn, pcm: bytes, send: Callable[[InputAudioAppend], Awaitable[None]]) -> None:
    """Send 24 kHz PCM as a microphone does, 20 ms at a time, and then silence until the turn is over.

    `turn.said_at` is set at once. This does not end before the server says that the turn is over, so callers bound it.
    """
    began = time.monotonic()
    turn.said_at = began + last_sound(pcm) / _RATE
    pieces, sent = _pieces(pcm), 0
    while turn.over_at is None or time.monotonic() < turn.said_at:
        await send(InputAudioAppend(audio=next(pieces)))
        sent += 1
        await asyncio.sleep(max(0.0, began + sent * _PIECE_S - time.monotonic()))


def first_sound(pcm: bytes) -> int | None:
    """Find the first sample of 16-bit PCM that can be heard. Return its position, or None if there is none."""
    return next((at for at, value in enumerate(array("h", pcm)) if abs(value) > _AUDIBLE), None)


def last_sound(pcm: bytes) -> int:
    """Find the last sample of 16-bit PCM that can be heard. Return the position after it, or 0 if there is none."""
    samples = array("h", pcm)
    return next((at + 1 for at in range(len(samples) - 1, -1, -1) if abs(samples[at]) > _AUDIBLE), 0)


def _pieces(pcm: bytes) -> Iterator[bytes]:
    for at in range(0, len(pcm), _PIECE_BYTES):
        yield pcm[at : at + _PIECE_BYTES].ljust(_PIECE_BYTES, b"\0")
    while True:
        yield bytes(_PIECE_BYTES)
