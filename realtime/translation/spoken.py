"""Has the translation spoken, in order and without gaps between sentences that follow each other.

It uses text streams of the session that speaks, one at a time. A stream ends when all of its text is spoken.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from protocol.client_events import ClientEvent, InputTextAppend, InputTextEnd, InputTextFlush, ResponseCreate
from protocol.objects import AudioOutput, Generation, ResponseConfig, SessionAudio
from realtime.translation.translator import Rendered


@dataclass
class Sentence:
    """Holds a piece of translation that is spoken in one go.

    `elapsed_ms` is how much of the input the translator had taken in when its first words came, `chars` its length.
    """

    elapsed_ms: int
    chars: int = 0


@dataclass
class Speech:
    """Follows what is being spoken and what waits for it.

    `stream` is the name of the text stream that is open; it is empty without one. While the stream is `ending`, text
    that comes is `held` for the next one.
    """

    output: AudioOutput
    stream: str = ""
    ending: bool = False
    sentences: deque[Sentence] = field(default_factory=deque)  # flushed and not spoken to the end, oldest first
    begun: Sentence | None = None  # the one that text is still added to: it is not flushed yet
    held: deque[tuple[Rendered, int]] = field(default_factory=deque)
    streams: int = 0

    @property
    def waiting_chars(self) -> int:
        """Return how many characters of translation are not spoken yet."""
        begun = 0 if self.begun is None else self.begun.chars
        return begun + sum(one.chars for one in self.sentences) + sum(len(one.text) for one, _ in self.held)

    @property
    def elapsed_ms(self) -> int:
        """Return `elapsed_ms` of the sentence being spoken; 0 while nothing is spoken."""
        speaking = self.sentences[0] if self.sentences else self.begun
        return 0 if speaking is None else speaking.elapsed_ms

    @property
    def idle(self) -> bool:
        """Tell whether everything is spoken."""
        return not self.stream and not self.held

    def say(self, rendered: Rendered, elapsed_ms: int) -> list[ClientEvent]:
        """Have a piece of translation spoken. `elapsed_ms` is how much input the translator has taken in.

        Returns the events for the session that speaks, as all methods here do.
        """
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
        """Have what has come so far spoken as a whole sentence."""
        if self.begun is None:
            return []
        self.sentences.append(self.begun)
        self.begun = None
        return [InputTextFlush(event_id=self.stream, stream=self.stream)]

    def spoken(self) -> list[ClientEvent]:
        """Note that a sentence was spoken. If it was the last one so far, end its stream."""
        if self.sentences:
            self.sentences.popleft()
        if self.sentences or self.begun is not None or self.ending:
            return []
        self.ending = True
        return [InputTextEnd(event_id=self.stream, stream=self.stream)]

    def over(self) -> list[ClientEvent]:
        """Note that the stream's response is over, and begin the next stream with what was held for it."""
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
