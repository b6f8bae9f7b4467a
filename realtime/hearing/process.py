"""Runs the process that hears, from the gateway's side: starts it with its first listener, keeps it running, and hands
each stream its own scores.

Every window that was pushed gets exactly one score, even if the process dies or hangs. Windows that it did not answer
are given to the next process. Windows that no process could look at in time count as silence, so that a turn under way
comes to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from realtime.child_process import reap, start_child
from realtime.framing import Bodies, packed
from realtime.hearing.listening import Heard, Stream
from realtime.hearing.messages import Audio, Inbound, Listen, Outbound, Ready, Rest, Scores
from realtime.hearing.windows import WINDOW_BYTES

log = logging.getLogger("voiced.hearing")

_PATIENCE_S = 3.0
"""How long a window waits for a process. It is longer than it takes to notice that one hangs and to start another."""
_HUNG_S = 1.5
_START_S = 30.0
_BEHIND_S = 0.5
"""A process that owes an answer for longer than this is sent no more audio until it has caught up."""
_LOOK_S = 0.25
_NAME_S = 10.0
_RESTART_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 30.0


@dataclass
class _Window:
    """Holds a window of PCM that waits for its score. `since` is monotonic seconds."""

    since: float
    pcm: bytes
    sent: bool  # to the process that runs now


class HearingProcess:
    """Scores audio in a process of its own. Run `run` in a task while it is needed.

    The first process is started at once to learn its name; it leaves again unless there is a stream by then. From the
    first stream on there is always a process.
    """

    def __init__(self) -> None:
        self._name = ""
        self._named = asyncio.Event()
        self._streams: dict[int, _ProcessStream] = {}
        self._numbers = itertools.count(1)
        self._wanted = asyncio.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._ready: _Connection | None = None  # to a process that takes audio
        self._outgoing: list[bytes] = []
        self._unanswered: deque[float] = deque()  # for each window it has not answered, when it was sent; oldest first
        self._answered = 0.0
        self._away = False
        self._told_behind = False

    @property
    def name(self) -> str:
        """Return the name by which clients are told what listens to them.

        It is empty until `named` has returned, and while no process answers.
        """
        return "" if self._away else self._name

    @property
    def pid(self) -> int | None:
        """Return the process id of the worker that runs now, or None."""
        return self._process.pid if self._process is not None else None

    @property
    def ready(self) -> bool:
        """Tell whether a worker takes audio now."""
        return self._ready is not None

    async def named(self) -> None:
        """Wait until the name is known, for 10 s at most. `run` must be running."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NAME_S):
                await self._named.wait()

    async def run(self) -> None:
        """Keep a process running while it is needed, until cancelled. After that, all audio counts as silence."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_running())
                tasks.create_task(self._watch())
        finally:
            self._give_up()

    def open(self, heard: Heard) -> Stream:
        """Open a stream whose scores go to `heard`, from the event loop, some milliseconds after each window."""
        stream = _ProcessStream(self, next(self._numbers), heard)
        self._streams[stream.number] = stream
        self._wanted.set()
        self._send(Listen(stream.number))
        return stream

    def _close(self, number: int) -> None:
        if self._streams.pop(number, None) is not None:
            self._send(Rest(number))

    # --- messages ---

    def _take(self, stream: _ProcessStream, windows: list[bytes], now: float) -> None:
        """Have new windows of a stream looked at, now or later."""
        behind = bool(self._unanswered) and now - self._unanswered[0] > _BEHIND_S
        sent = self._ready is not None and not behind
        stream.waiting.extend(_Window(now, window, sent) for window in windows)
        if sent:
            self._look_at(stream.number, windows, now)
        elif self._ready is not None:
            if not self._told_behind:
                log.warning("there is more speech than one process can look at: some of it counts as what was before")
            self._told_behind = True
            stream.skip()
        elif self._away:
            stream.give_up()

    def _look_at(self, stream: int, windows: list[bytes], now: float) -> None:
        self._send(Audio(stream, b"".join(windows)))
        self._unanswered.extend([now] * len(windows))

    def _send(self, message: Inbound) -> None:
        if self._ready is None:
            return
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(packed(message))

    def _flush(self) -> None:
        """Send in one write all that this pass of the event loop has put together."""
        outgoing, self._outgoing = b"".join(self._outgoing), []
        if self._ready is not None:
            self._ready.write(outgoing)

    def _receive(self, connection: _Connection, message: Outbound) -> None:
        self._answered = time.monotonic()
        match message:
            case Ready():
                connection.rests = not self._name and not self._streams
                self._take_name(message.detector)
                if connection.rests:
                    connection.close()
                    return
                self._ready = connection
                for stream in self._streams.values():
                    self._send(Listen(stream.number))
                    stream.send()
            case Scores():
                for found in message.streams:
                    for _ in found.scores:
                        self._unanswered.popleft()
                    if (known := self._streams.get(found.stream)) is not None:
                        known.take(found.scores)

    def _take_name(self, name: str) -> None:
        if self._away:
            log.warning("speech is told from silence again (%s)", name)
        self._name, self._away = name, False
        self._named.set()

    # --- the process ---

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            if self._name and not self._streams:
                self._wanted.clear()
                await self._wanted.wait()
            began, why = time.monotonic(), "ended"
            try:
                if await self._run_worker():
                    continue
            except OSError as error:
                why = f"cannot be started ({error})"
            failures = 0 if time.monotonic() - began > _STEADY_S else failures
            if failures == 0:
                log.error("the process that tells speech from silence %s; it is started again", why)
            await asyncio.sleep(_RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)])
            failures += 1

    async def _run_worker(self) -> bool:
        """Run a worker from its start to its end. Raises OSError.

        True says that it left as planned: it told its name, and there was no stream.
        """
        # spawning takes milliseconds and happens at start, with the first stream and after a crash only
        process, ours = start_child("realtime.hearing.worker")
        self._process, self._started = process, time.monotonic()
        connection = _Connection(self._receive)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=ours)
            await connection.over()
        finally:
            connection.close()
            self._ready = None
            self._outgoing.clear()
            self._unanswered.clear()
            self._process = None
            await reap(process)
        return connection.rests

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            if self._process is not None and self._hangs(now):
                log.error("the process that tells speech from silence does not answer and is ended")
                self._process.kill()
            if self._ready is None and now - min(self._waiting_since(), default=now) > _PATIENCE_S:
                if not self._away:
                    log.error("nothing tells speech from silence until the process is back: turns end, none begin")
                self._give_up()

    def _hangs(self, now: float) -> bool:
        if self._ready is None:
            return now - self._started > _START_S
        return bool(self._unanswered) and now - max(self._unanswered[0], self._answered) > _HUNG_S

    def _waiting_since(self) -> Iterator[float]:
        return (stream.waiting[0].since for stream in self._streams.values() if stream.waiting)

    def _give_up(self) -> None:
        self._away = True
        for stream in tuple(self._streams.values()):
            stream.give_up()


class _ProcessStream:
    """Holds one listener's stream, and its windows that wait for a score, oldest first."""

    def __init__(self, process: HearingProcess, number: int, heard: Heard) -> None:
        self._process = process
        self.number = number
        self._heard: Heard | None = heard
        self._rest = b""
        self._last = 0.0
        self.waiting: deque[_Window] = deque()

    def push(self, pcm: bytes) -> None:
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % WINDOW_BYTES
        self._rest = pcm[whole:]
        if self._heard is None or not whole:
            return
        windows = [pcm[at : at + WINDOW_BYTES] for at in range(0, whole, WINDOW_BYTES)]
        self._process._take(self, windows, time.monotonic())

    def close(self) -> None:
        self._heard = None
        self.waiting.clear()
        self._process._close(self.number)

    def take(self, scores: tuple[float, ...]) -> None:
        """Take the scores that the process gave to the oldest windows it was sent."""
        told: list[float] = []
        for score in scores:
            told += self._skipped()
            self.waiting.popleft()
            self._last = score
            told.append(score)
        self._tell(told + self._skipped())

    def skip(self) -> None:
        """Score the newest windows, which will not be looked at, like the one before them."""
        self._tell(self._skipped())

    def give_up(self) -> None:
        """Score all windows that wait as silence, since no process can look at them."""
        scores, self._last = [0.0] * len(self.waiting), 0.0
        self.waiting.clear()
        self._tell(scores)

    def send(self) -> None:
        """Send all windows that wait to a process that has just started."""
        if self.waiting:
            self._process._look_at(self.number, [window.pcm for window in self.waiting], time.monotonic())
        for window in self.waiting:
            window.sent = True

    def _skipped(self) -> list[float]:
        scores = []
        while self.waiting and not self.waiting[0].sent:
            self.waiting.popleft()
            scores.append(self._last)
        return scores

    def _tell(self, scores: list[float]) -> None:
        if not scores or self._heard is None:
            return
        try:
            self._heard(tuple(scores))
        except Exception:  # one stream's fault must not reach the others, which are told from this loop as well
            log.exception("a stream is closed: its scores cannot be delivered")
            self.close()


class _Connection(asyncio.Protocol):
    """Holds our end of the socket to one worker. `rests` says that the worker leaves as planned."""

    def __init__(self, receive: Callable[[_Connection, Outbound], None]) -> None:
        self._receive = receive
        self._decoder = msgspec.msgpack.Decoder(Outbound)
        self._bodies = Bodies()
        self._transport: asyncio.Transport | None = None
        self._over = asyncio.Event()
        self.rests = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._bodies.add(data)
        for body in self._bodies.take():
            self._receive(self, self._decoder.decode(body))

    def connection_lost(self, error: Exception | None) -> None:
        self._over.set()

    async def over(self) -> None:
        """Wait until the worker is gone, or this end is closed."""
        await self._over.wait()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Close this end. The worker leaves when it notices."""
        if self._transport is not None:
            self._transport.abort()
