"""Finds out how likely speech is in what the user says, before the session takes it in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from realtime.hearing.listening import Hearing, Stream
from realtime.session.messages import SCORE_SAMPLES, UserAudio


@dataclass
class _Waiting:
    """Audio, how many windows became whole with it, and who waits until it is passed on."""

    pcm: bytes
    event_id: str | None
    windows: int
    passed: asyncio.Future[None] | None = None


class SpeechScores:
    """Of one session, whose audio goes to `pass_on` in the order in which it came. Audio waits here for its scores,
    which is as long as `hearing` lets it wait; without `hearing` there are none."""

    def __init__(self, hearing: Hearing | None, pass_on: Callable[[UserAudio], None]) -> None:
        self._hearing = hearing
        self._pass_on = pass_on
        self._stream: Stream | None = None
        self._samples = 0  # of the stream
        self._waiting: deque[_Waiting] = deque()
        self._scores: deque[float] = deque()

    def take_in(self, pcm: bytes, event_id: str | None = None) -> None:
        """More 24 kHz PCM, to be scored and passed on. Half a sample is passed on as it is."""
        if self._hearing is None or len(pcm) % 2:
            self._waiting.append(_Waiting(pcm, event_id, 0))
        else:
            if self._stream is None:
                self._stream, self._samples = self._hearing.open(self._heard), 0
            begun, self._samples = self._samples % SCORE_SAMPLES, self._samples + len(pcm) // 2
            self._waiting.append(_Waiting(pcm, event_id, (begun + len(pcm) // 2) // SCORE_SAMPLES))
            self._stream.push(pcm)
        self._go_on()

    async def settled(self) -> None:
        """Until all that was taken in is passed on; others have their turn meanwhile."""
        if not self._waiting:
            await asyncio.sleep(0)
            return
        last = self._waiting[-1]
        if last.passed is None:
            last.passed = asyncio.get_running_loop().create_future()
        await last.passed

    def rest(self) -> None:
        """Nobody wants to know any more: what waits is passed on without its scores, and the next stream starts
        anew."""
        self.close()
        while self._waiting:
            self._pass(())

    def close(self) -> None:
        """Nobody takes the audio any more."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._scores.clear()

    def _heard(self, scores: tuple[float, ...]) -> None:
        self._scores.extend(scores)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._waiting[0].windows <= len(self._scores):
            self._pass(tuple(self._scores.popleft() for _ in range(self._waiting[0].windows)))

    def _pass(self, scores: tuple[float, ...]) -> None:
        oldest = self._waiting.popleft()
        if oldest.passed is not None and not oldest.passed.done():
            oldest.passed.set_result(None)
        self._pass_on(UserAudio(oldest.pcm, scores, oldest.event_id))
