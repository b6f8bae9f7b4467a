"""The translation on its way to the ear: text streams of the session that speaks, one at a time, so that it comes out
in order and sentences that follow each other have no gap. A stream ends when all of it is spoken.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from protocol.client_events import ClientEvent, InputTextAppend, InputTextEnd, InputTextFlush, ResponseCreate
from protocol.objects import AudioOutput, Generation, ResponseConfig, SessionAudio
from realtime.translation.translator import Rendered


@dataclass
class Sentence:
    """A piece of translation that is spoken in one go, and how much of the input had been taken in by then."""

    elapsed_ms: int
    chars: int = 0


@dataclass
class Speech:
    """What is being spoken and what waits for it. `stream` is the name of the text stream that is open; while it is
    `ending`, what comes is `held` for the next one."""

    output: AudioOutput
    stream: str = ""
    ending: bool = False
    sentences: deque[Sentence] = field(default_factory=deque)  # flushed, not all spoken
    begun: Sentence | None = None  # not flushed yet
    held: deque[tuple[Rendered, int]] = field(default_factory=deque)
    streams: int = 0

    @property
    def waiting_chars(self) -> int:
        """Translation that is not spoken yet."""
        begun = 0 if self.begun is None else self.begun.chars
        return begun + sum(one.chars for one in self.sentences) + sum(len(one.text) for one, _ in self.held)

    @property
    def elapsed_ms(self) -> int:
        """Of the sentence being spoken."""
        speaking = self.sentences[0] if self.sentences else self.begun
        return 0 if speaking is None else speaking.elapsed_ms

    @property
    def idle(self) -> bool:
        """Everything is spoken."""
        return not self.stream and not self.held

    def say(self, rendered: Rendered, elapsed_ms: int) -> list[ClientEvent]:
        """Have a piece of translation spoken."""
        if self.ending:
            self.held.append((rendered, elapsed_ms))
            return []
        asked: list[ClientEvent] = []
        if rendered.text:
            if not self.stream:
                asked.append(self._open())
            if self.begun is None:
                self.begun = Sentence(elapsed_ms)
            self.begun.chars += len(rendered.text)
            asked.append(InputTextAppend(event_id=self.stream, stream=self.stream, text=rendered.text))
        return [*asked, *self.flush()] if rendered.complete else asked

    def flush(self) -> list[ClientEvent]:
        """What has come so far is a whole sentence."""
        if self.begun is None:
            return []
        self.sentences.append(self.begun)
        self.begun = None
        return [InputTextFlush(event_id=self.stream, stream=self.stream)]

    def spoken(self) -> list[ClientEvent]:
        """A sentence is spoken; if it was the last one so far, its stream ends with it."""
        if self.sentences:
            self.sentences.popleft()
        if self.sentences or self.begun is not None or self.ending:
            return []
        self.ending = True
        return [InputTextEnd(event_id=self.stream, stream=self.stream)]

    def over(self) -> list[ClientEvent]:
        """The stream's response is over; what was held for the next one begins it."""
        self.stream, self.ending, self.begun = "", False, None
        self.sentences.clear()
        held, self.held = self.held, deque()
        return [event for rendered, elapsed_ms in held for event in self.say(rendered, elapsed_ms)]

    def _open(self) -> ResponseCreate:
        self.streams += 1
        self.stream = f"translation_{self.streams}"
        response = ResponseConfig(
            conversation="none",
            audio=SessionAudio(output=self.output),
            voiced=Generation(text_stream=self.stream, paced=True),
        )
        return ResponseCreate(event_id=self.stream, response=response)
