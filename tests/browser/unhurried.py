"""Scope: an engine whose listeners get each utterance when it is whole, so that a slow machine is not heard as gaps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from realtime.engine.client import EngineProcess, Sink
from realtime.engine.messages import Audio, Event
from realtime.request import Ended, Speak


@contextlib.contextmanager
def unhurried(engine: EngineProcess) -> Iterator[None]:
    """As long as it lasts."""
    submit = engine.submit

    def held(request: Speak, sink: Sink) -> None:
        waiting: list[Event] = []

        def keep(event: Event) -> None:
            waiting.append(event)
            if isinstance(event, Ended):
                for one in waiting:
                    sink(one)
            elif not isinstance(event, Audio):
                waiting.pop()
                sink(event)

        submit(request, keep)

    engine.submit = held  # type: ignore[method-assign]
    yield
    engine.submit = submit  # type: ignore[method-assign]
