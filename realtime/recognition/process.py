"""The gateway's side of the process that recognises speech: start it, keep it running, give it one job at a time.

A job that waits is only here, so that it can be dropped. One that was under way when the process died or hung is given
to the next one, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import subprocess
import time
from dataclasses import dataclass, replace

import msgspec

from realtime.child_process import reap, start_child
from realtime.framing import LENGTH_BYTES, packed
from realtime.recognition.messages import (
    Alive,
    Failed,
    Found,
    Inbound,
    Load,
    Loaded,
    NotUnderstood,
    Outbound,
    Prepare,
    Understood,
    Work,
)
from realtime.recognition.pieces import joined, seconds, understood
from realtime.recognition.recogniser import Job, NothingHeard, RecogniserUnavailable, Transcript
from realtime.recognition.waiting import Waiting
from realtime.recognition.weights import AUTO

log = logging.getLogger("voiced.recognition")

_BUSY = "Too many recordings wait for the recogniser; try again shortly."
_LATE = "The recogniser did not answer in time; try again shortly."
_LOST = "The recogniser stopped while it listened to this; it is being started again. Try again shortly."
_OVER = "The server is stopping."
_PATIENCE_S = 60.0
"""So long a job may wait and be worked on. A process that is busy with one for longer hangs."""
_TRIES = 2
_NAME_S = 10.0
_TICK_S = 0.25
_SILENT_TICKS = 12
"""A process that has said nothing for so many ticks of our own loop is lost. It beats once in each."""
_STARTING_TICKS = 480
_RESTART_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 30.0
_STARTS = 3
"""Processes that may end in a row without having been ready."""
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(eq=False)
class _Asked:
    """A job of at most 28 s, whoever waits for it, and how often a process was given it."""

    number: int
    job: Job
    answer: asyncio.Future[Transcript]
    tries: int = 0
    began: float = 0.0


@dataclass
class _Worker:
    """The process that runs now."""

    process: subprocess.Popen[bytes]
    writer: asyncio.StreamWriter
    found: bool = False
    loaded: bool = False
    rests: bool = False  # it told what there is, and nobody wants more
    silent_ticks: int = 0
    busy_with: _Asked | None = None

    def send(self, message: Inbound) -> None:
        self.writer.write(packed(message))

    def lose(self) -> None:
        """Give up on it; the task that reads what it says notices the end."""
        self.process.kill()
        self.writer.transport.abort()


class WhisperProcess:
    """Whisper in a process of its own, as a `Recogniser`. Run `run` in a task while it is needed. The first process
    tells which weights there are and leaves, unless it was woken by then; from then on there is always one."""

    def __init__(self, setting: str = AUTO, model: str = "") -> None:
        """The weights are those that `weights.find_weights` finds by `setting` and `model`."""
        self._prepare = Prepare(setting, model)
        self._name = ""
        self._languages: tuple[str, ...] = ()
        self._why = ""
        self._known = asyncio.Event()
        self._wanted = asyncio.Event()
        self._numbers = itertools.count(1)
        self._waiting = Waiting[_Asked]()
        self._worker: _Worker | None = None

    @property
    def name(self) -> str:
        """What clients are told that understands them; empty until it is known, and where nothing can."""
        return "" if self._why else self._name

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it understands, as ISO 639-1 codes."""
        return () if self._why else self._languages

    @property
    def why(self) -> str:
        """Why it cannot work, in one sentence; empty while it can."""
        return self._why

    @property
    def pid(self) -> int | None:
        """Process id of the worker that runs now."""
        return self._worker.process.pid if self._worker is not None else None

    async def ready(self) -> None:
        """Wait until the name is known, or why there is none, for 10 s at most: weights of the hub come later. `run`
        must be running."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NAME_S):
                await self._known.wait()

    def wake(self) -> None:
        """Load the weights now: a job will come soon."""
        self._wanted.set()

    async def transcribe(self, job: Job) -> Transcript:
        """Understand audio of any length, in pieces of at most 28 s. Raises NothingHeard and RecogniserUnavailable."""
        job = replace(job, language=self._language(job.language))
        parts = [part async for part in understood(job, self._understand)]
        return joined(parts, seconds(job.pcm))

    def _language(self, asked: str) -> str:
        language = asked.strip().lower().partition("-")[0]
        if language and self._languages and language not in self._languages:
            known = ", ".join(self._languages) if len(self._languages) < 8 else f"{len(self._languages)} languages"
            raise RecogniserUnavailable(f"{self._name} understands {known}, and not {asked[:20]!r}.")
        return language

    async def _understand(self, job: Job) -> Transcript:
        if self._why:
            raise RecogniserUnavailable(self._why)
        asked = _Asked(next(self._numbers), job, asyncio.get_running_loop().create_future())
        if not self._waiting.add(job.kind, asked):
            raise RecogniserUnavailable(_BUSY)
        self.wake()
        self._give_work()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await asked.answer
        except TimeoutError:
            raise RecogniserUnavailable(_LATE) from None
        finally:
            self._waiting.drop(job.kind, asked)

    def _give_work(self) -> None:
        """Give the next job to the process, if it waits for one."""
        worker = self._worker
        if worker is None or not worker.loaded or worker.busy_with is not None:
            return
        if (asked := self._waiting.take()) is not None:
            asked.tries += 1
            asked.began = time.monotonic()
            worker.busy_with = asked
            worker.send(Work(asked.number, asked.job))

    # --- the process ---

    async def run(self) -> None:
        """Keep a process running from when it is wanted, until cancelled; then all jobs that wait fail."""
        try:
            await self._keep_running()
            await asyncio.Event().wait()
        finally:
            self._why = self._why or _OVER
            self._fail_all()

    async def _keep_running(self) -> None:
        """Until it is known that no process can work."""
        failures = starts = 0
        while not self._why:
            began, why, was_ready = time.monotonic(), "ended", False
            try:
                worker = await self._run_worker()
                was_ready = worker.loaded
                if worker.rests:
                    await self._wanted.wait()
                    continue
            except OSError as error:
                why = f"cannot be started ({error})"
            if self._why:
                break
            starts = 0 if was_ready else starts + 1
            if starts == _STARTS:
                self._give_up(f"The process that recognises speech {why} {starts} times in a row before it was ready.")
                break
            failures = 0 if time.monotonic() - began > _STEADY_S else failures
            log.error("the process that recognises speech %s; it is started again", why)
            await asyncio.sleep(_RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)])
            failures += 1

    async def _run_worker(self) -> _Worker:
        """From a process's start to its end. Raises OSError."""
        process, ours = start_child("realtime.recognition.worker", _ENVIRONMENT)
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 24)
        worker = self._worker = _Worker(process, writer)
        watch = asyncio.create_task(self._watch(worker))
        try:
            worker.send(self._prepare)
            await self._read(reader, worker)
        finally:
            watch.cancel()
            writer.close()
            self._worker = None
            self._take_back(worker)
            await reap(process)
        return worker

    async def _read(self, reader: asyncio.StreamReader, worker: _Worker) -> None:
        """Take what it says, until its end or ours."""
        decoder = msgspec.msgpack.Decoder(Outbound)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not self._why and not worker.rests:
                size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "little")
                message = decoder.decode(await reader.readexactly(size))
                worker.silent_ticks = 0
                self._take(message, worker)

    def _take(self, message: Outbound, worker: _Worker) -> None:
        match message:
            case Alive():
                pass
            case Found():
                self._name, self._languages, worker.found = message.name, message.languages, True
                self._known.set()
                worker.rests = not self._wanted.is_set()
                if not worker.rests:
                    worker.send(Load())
            case Loaded():
                worker.loaded = True
                self._give_work()
            case Failed():
                self._give_up(message.why)
            case Understood() | NotUnderstood():
                asked, worker.busy_with = worker.busy_with, None
                assert asked is not None and asked.number == message.number, "answers come in the order of jobs"
                if not asked.answer.done():
                    _settle(asked.answer, message)
                self._give_work()

    async def _watch(self, worker: _Worker) -> None:
        """Give up on a process that says nothing, or that a job keeps busy for too long."""
        while True:
            await asyncio.sleep(_TICK_S)
            worker.silent_ticks += 1
            asked = worker.busy_with
            silent = worker.silent_ticks > (_SILENT_TICKS if worker.loaded else _STARTING_TICKS)
            if silent or (asked is not None and time.monotonic() - asked.began > _PATIENCE_S):
                log.error("the process that recognises speech hangs and is ended")
                worker.lose()
                return

    def _take_back(self, worker: _Worker) -> None:
        """What a process that is gone was busy with waits again, or fails."""
        asked, worker.busy_with = worker.busy_with, None
        if asked is None or asked.answer.done():
            return
        if asked.tries < _TRIES:
            self._waiting.give_back(asked.job.kind, asked)
        else:
            asked.answer.set_exception(RecogniserUnavailable(_LOST))

    def _give_up(self, why: str) -> None:
        log.warning("nothing recognises speech: %s", why)
        self._why = why
        self._known.set()
        self._fail_all()

    def _fail_all(self) -> None:
        while (asked := self._waiting.take()) is not None:
            if not asked.answer.done():
                asked.answer.set_exception(RecogniserUnavailable(self._why))


def _settle(answer: asyncio.Future[Transcript], message: Understood | NotUnderstood) -> None:
    match message:
        case Understood():
            answer.set_result(message.transcript)
        case NotUnderstood(nothing=True):
            answer.set_exception(NothingHeard(message.why))
        case NotUnderstood():
            answer.set_exception(RecogniserUnavailable(message.why))
