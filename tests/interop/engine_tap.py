"""What the engine itself made for each clause: the reference for what clients hear."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from realtime.engine.client import EngineProcess, Sink
from realtime.engine.messages import Audio, Event
from realtime.request import Ended, Speak


@dataclass
class Utterance:
    """One request: its words, all its PCM, and how it ended ("" while it runs)."""

    text: str
    pcm: bytearray = field(default_factory=bytearray)
    ended: str = ""


@dataclass(frozen=True)
class Reference:
    """PCM to compare with: 16-bit mono at 24 kHz; `complete` when the whole text was spoken to its end."""

    pcm: bytes
    complete: bool

    @property
    def samples(self) -> int:
        return len(self.pcm) // 2

    def digest(self, samples: int) -> str:
        """SHA-256 of the first `samples`."""
        assert samples <= self.samples, f"{samples} samples were heard, {self.samples} were made"
        return hashlib.sha256(self.pcm[: 2 * samples]).hexdigest()


class EngineTap:
    """Listens in on a gateway's engine from now on."""

    def __init__(self, engine: EngineProcess) -> None:
        self.utterances: list[Utterance] = []
        submit = engine.submit

        def tapped(request: Speak, sink: Sink) -> None:
            utterance = Utterance(request.text)
            self.utterances.append(utterance)

            def listen(event: Event) -> None:
                match event:
                    case Audio():
                        utterance.pcm += event.pcm
                    case Ended():
                        utterance.ended = event.reason
                sink(event)

            submit(request, listen)

        engine.submit = tapped  # type: ignore[method-assign]

    def spoken(self, text: str, since: int = 0) -> list[Reference]:
        """What was made of a text, each time it was spoken: of the clauses since the `since`-th that make it up, or, of
        one that was stopped, its beginning."""
        whole, found = _words(text), []
        words, pcm = whole, b""
        for utterance in self.utterances[since:]:
            clause = _words(utterance.text)
            if pcm and clause != words[: len(clause)]:
                found.append(Reference(pcm, complete=False))
                words, pcm = whole, b""
            if clause and clause == words[: len(clause)]:
                words = words[len(clause) :]
                pcm += utterance.pcm
                if not words:
                    found.append(Reference(pcm, complete=utterance.ended == "stop"))
                    words, pcm = whole, b""
        if pcm:
            found.append(Reference(pcm, complete=False))
        assert found, f"the engine was never given {text!r}, but {[one.text for one in self.utterances[since:]]}"
        return found


def _words(text: str) -> list[str]:
    return text.split()
