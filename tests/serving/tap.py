"""Scope: the engine's own samples, to compare with what a client was sent."""

from realtime.engine.client import EngineProcess, Sink
from realtime.engine.messages import Audio, Event
from realtime.request import Speak


class Tap:
    """What the engine was asked for, and the samples it made of each."""

    def __init__(self, engine: EngineProcess) -> None:
        self.requests: list[Speak] = []
        self._made: list[bytearray] = []
        submit = engine.submit

        def tapped(request: Speak, sink: Sink) -> None:
            made = bytearray()
            self.requests.append(request)
            self._made.append(made)

            def listen(event: Event) -> None:
                if isinstance(event, Audio):
                    made.extend(event.pcm)
                sink(event)

            submit(request, listen)

        engine.submit = tapped  # type: ignore[method-assign]

    @property
    def texts(self) -> list[str]:
        return [request.text for request in self.requests]

    def made(self, *texts: str) -> bytes:
        """The samples of these clauses, one after the other."""
        return b"".join(self._made[self.texts.index(text.strip())] for text in texts)
