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
    """Holds audio, and how many windows became whole with it. `passed` is done once the audio is passed on."""

    pcm: bytes
    event_id: str | None
    windows: int
    passed: asyncio.Future[None] | None = None


class SpeechScores:
    """Has the audio of one session scored, and gives it to `pass_on` with its scores, in the order in which it came.

    Audio waits here until `hearing` has scored it. Without `hearing` there are no scores, and nothing waits.
    """

    def __init__(self, hearing: Hearing | None, pass_on: Callable[[UserAudio], None]) -> None:
        self._hearing = hearing
        self._pass_on = pass_on
        self._stream: Stream | None = None
        self._samples = 0  # that were pushed into the stream
        self._waiting: deque[_Waiting] = deque()
        self._scores: deque[float] = deque()

    def take_in(self, pcm: bytes, event_id: str | None = None) -> None:
        """Take more 24 kHz PCM, to be scored and passed on. Audio with half a sample is passed on without scores."""
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
        """Wait until all that was taken in is passed on. Other tasks run meanwhile, even if nothing waits."""
        if not self._waiting:
            await asyncio.sleep(0)
            return
        last = self._waiting[-1]
        if last.passed is None:
            last.passed = asyncio.get_running_loop().create_future()
        await last.passed

    def rest(self) -> None:
        """Stop scoring, and pass on what waits without its scores. Audio that is taken in later begins a new stream."""
        self.close()
        while self._waiting:
            self._pass(())

    def close(self) -> None:
        """Stop scoring, because nobody takes the audio any more."""
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
