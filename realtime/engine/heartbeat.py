"""Tells a working engine from one that hangs, by the worker's beat and the gateway's count of silence."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import threading
import time
from collections.abc import Callable, Iterator

from realtime.engine.messages import Alive

log = logging.getLogger("voiced.engine")

BEAT_S = 0.25
HANG_S = 60.0
"""A step that lasts longer than this hangs. The longest that work takes is seconds, for a long prompt on a slow CPU."""


class Heartbeat:
    """Says `Alive` every `BEAT_S` from a thread of its own, so that a long load, step or encoding does not look like a
    hang.

    When a step lasts longer than `hang_s`, it logs where all threads stand and says nothing more.
    """

    def __init__(self, send: Callable[[Alive], None], hang_s: float = HANG_S) -> None:
        self._send = send
        self._hang_s = hang_s
        self._step_began: float | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Time one step, for as long as the context is entered.

        Between steps, where the worker waits, and while it loads, no time is too long.
        """
        self._step_began = time.monotonic()
        try:
            yield
        finally:
            self._step_began = None

    def stop(self) -> None:
        """Stop the beats."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_S):
            began = self._step_began
            if began is not None and time.monotonic() - began > self._hang_s:
                log.error("a step takes longer than %g s; all threads stand here:", self._hang_s)
                faulthandler.dump_traceback()
                return
            try:
                self._send(Alive())
            except OSError:  # the gateway is gone, and the worker's own thread finds that out
                return


class Silence:
    """Counts the seconds for which the other side has said nothing, by the ticks of a loop.

    If the loop was itself held up (busy, or stopped), it counts no more than two ticks for that: what was said
    meanwhile has not been read yet.
    """

    def __init__(self, tick_s: float, now: float) -> None:
        self._most = 2 * tick_s
        self._last = now
        self._seconds = 0.0

    def broken(self) -> None:
        """Note that something was said: the count begins again."""
        self._seconds = 0.0

    def tick(self, now: float) -> float:
        """Count the time since the last tick, and return the seconds of silence so far."""
        self._seconds += min(now - self._last, self._most)
        self._last = now
        return self._seconds
