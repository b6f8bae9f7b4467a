"""Runs the engine from the gateway's side: starts it, keeps it running, hands each request its own events.

Every submitted request gets exactly one `Ended`, even if the engine dies or hangs. Nothing here imports torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from realtime.child_process import reap, start_child
from realtime.engine.heartbeat import Silence
from realtime.engine.messages import (
    Alive,
    Cancel,
    DropContext,
    EngineConfig,
    EngineInfo,
    Event,
    ForgetVoice,
    Gauges,
    Hold,
    Inbound,
    LoadFailed,
    Loading,
    Outbound,
    RegisterVoice,
    Shutdown,
    StepOutput,
    VoiceRegistered,
)
from realtime.framing import LENGTH_BYTES, packed
from realtime.request import Ended, Speak

log = logging.getLogger("voiced.engine")

Sink = Callable[[Event], None]
"""Takes a request's events, in the event loop, without waiting. A sink that raises gets no more of them."""

LOST = "The speech engine stopped unexpectedly; it is being started again. Please try again shortly."
_NOT_READY = "The speech engine is not ready yet; try again shortly."
_BUSY = "The speech engine has not taken in what it was sent before; try again shortly."
_RESTART_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 5.0)
_REGISTER_DEADLINE_S = 60.0
_SIGNALS = {each.value: each.name for each in signal.Signals}
_LOADS = 3
"""How many workers may end in a row without having been ready before no other is started. A machine that lacks the
memory would end every one of them."""

_TICK_S = 0.25
SILENCE_S = 2.0
LOADING_SILENCE_S = 120.0
"""A worker that has said nothing for this long is lost: eight beats. It may be silent for longer while it starts and
loads, since imports keep all its threads waiting, and take long on a cold disk."""

UNSENT_BYTES = 32 << 20
"""While more than this waits to be sent, no new request or voice is taken."""
MOST_UNSENT_BYTES = 128 << 20
"""A worker that leaves more than this unread is lost."""


class VoiceRefused(Exception):
    """Says in one sentence why the clip of a voice cannot be used."""


class EngineLost(Exception):
    """Says in one sentence that the engine is not there to answer, or did not in time."""


class EngineClient(Protocol):
    """Gives the gateway an engine: in a process of its own, in this one, or on another machine.

    `info` says what runs, None while nothing does. `stage` says in words for people how far loading is. `error` says in
    one sentence why it cannot load. `restarts` counts how often it was started again. `pid` is its process, if it has
    one here.
    """

    info: EngineInfo | None
    stage: str
    gauges: Gauges
    error: str | None
    restarts: int

    @property
    def pid(self) -> int | None:
        """Return the process id of the engine, if it has one on this machine."""

    async def run(self) -> None:
        """Keep the engine running until cancelled, or until it says that it cannot load."""

    async def wait_changed(self) -> None:
        """Wait until `info`, `stage` or `error` has changed."""

    async def wait_ready(self) -> EngineInfo:
        """Wait until the engine can take requests, and return what runs.

        Raises RuntimeError with the engine's own sentence if it cannot load.
        """

    async def register_voice(self, name: str, pcm: bytes) -> None:
        """Have a voice cloned from a clip (16-bit mono PCM at the codec's rate). Raises VoiceRefused or EngineLost."""

    def forget_voice(self, name: str) -> None:
        """Forget a voice; a name that is not known is ignored."""

    def submit(self, request: Speak, sink: Sink) -> None:
        """Start a request. All that follows comes through `sink`, an `Ended` last."""

    def cancel(self, request_id: str) -> None:
        """Stop a request; its `Ended` still comes."""

    def hold(self, request_id: str, held: bool) -> None:
        """Note that the listener of a request stopped taking audio, or goes on."""

    def drop_context(self, context_id: str) -> None:
        """Forget what a context spoke."""


class Router:
    """Keeps the live requests, and where their events go."""

    def __init__(self) -> None:
        self._sinks: dict[str, Sink] = {}

    def __len__(self) -> int:
        return len(self._sinks)

    def open(self, request_id: str, sink: Sink) -> None:
        """Take a request in. Its id must be new, since events find their way by it; raises ValueError otherwise."""
        if request_id in self._sinks:
            raise ValueError(f"request {request_id} is already running")
        self._sinks[request_id] = sink

    def deliver(self, event: Event) -> bool:
        """Pass an event on. Events of requests that are not live are dropped.

        False says that the request's sink has just failed: nothing takes its events any more, and it should be
        cancelled.
        """
        ended = isinstance(event, Ended)
        sink = self._sinks.pop(event.request_id, None) if ended else self._sinks.get(event.request_id)
        if sink is None:
            return True
        try:
            sink(event)
        except Exception:  # one sink's fault must not reach the other requests, which are served from here as well
            log.exception("request %s is dropped: its events cannot be delivered", event.request_id)
            self._sinks.pop(event.request_id, None)
            return ended
        return True

    def fail_all(self, why: str) -> None:
        """End all live requests as failed, for the reason `why`."""
        for request_id in list(self._sinks):
            self.deliver(Ended(request_id, "failed", error=why))


@dataclass(frozen=True)
class _End:
    """Says how a worker ended.

    `was_ready` says whether it had been ready, `stage` what it did last. `code` is its exit code: negative is minus a
    signal, None that it could not be ended.
    """

    was_ready: bool
    stage: str
    code: int | None

    def __str__(self) -> str:
        if self.code is None:
            how = "cannot be ended"
        elif self.code < 0:
            how = f"was ended by {_SIGNALS.get(-self.code, f'signal {-self.code}')}"
        else:
            how = f"ended with code {self.code}"
        return f"the engine process {how} ({self.stage})"

    @property
    def advice(self) -> str:
        """Say what can be done about it."""
        if self.code == -signal.SIGKILL:  # what a machine without memory does
            return "if memory is short, use fewer --slots, --kv-positions or another model"
        return "the log may say more"


class EngineProcess:
    """Runs an engine in a process of its own, and starts it again when it dies or hangs.

    Run `run` in a task while it is needed.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._router = Router()
        self._writer: asyncio.StreamWriter | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._changed = asyncio.Condition()
        self._voices: dict[str, bytes] = {}  # PCM of voices registered at run time: each new worker is sent them again
        self._tickets = itertools.count(1)
        self._registrations: dict[int, asyncio.Future[str]] = {}  # ticket -> error, empty for none
        self._silence = Silence(_TICK_S, time.monotonic())
        self._told_again = 0  # bytes of voices sent again to this worker: they do not count as unsent
        self.info: EngineInfo | None = None
        self.stage = "starting"
        self.error: str | None = None
        self.gauges = Gauges()
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Return the process id of the worker that runs now, or None."""
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Keep a worker running until cancelled, or until it cannot be loaded."""
        failures = loads = 0
        try:
            while True:
                began = time.monotonic()
                ended = await self._run_worker()
                if self.error is not None:
                    return
                loads = 0 if ended.was_ready else loads + 1
                if loads == _LOADS:
                    why = f"{ended}, {loads} times in a row before it was ready; {ended.advice}."
                    await self._set(info=None, stage="failed", error=why)
                    return
                failures = 0 if time.monotonic() - began > 30 else failures + 1
                delay = _RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)]
                log.error("%s; starting it again in %.1f s", ended, delay)
                self.restarts += 1
                await asyncio.sleep(delay)
        finally:
            self._router.fail_all(LOST)

    async def wait_changed(self) -> None:
        """Wait until `info`, `stage` or `error` has changed."""
        async with self._changed:
            await self._changed.wait()

    async def wait_ready(self) -> EngineInfo:
        """Wait until the engine can take requests, and return what runs.

        Raises RuntimeError with the engine's own sentence if it cannot load.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self.info is not None or self.error is not None)
        if self.info is None:
            raise RuntimeError(self.error)
        return self.info

    def submit(self, request: Speak, sink: Sink) -> None:
        if self.info is None or self._unsent > UNSENT_BYTES:
            sink(Ended(request.request_id, "overloaded", error=_NOT_READY if self.info is None else _BUSY))
            return
        self._router.open(request.request_id, sink)
        self._send(request)

    def cancel(self, request_id: str) -> None:
        self._send(Cancel(request_id))

    def hold(self, request_id: str, held: bool) -> None:
        self._send(Hold(request_id, held))

    def drop_context(self, context_id: str) -> None:
        self._send(DropContext(context_id))

    async def register_voice(self, name: str, pcm: bytes) -> None:
        """Have a voice cloned from a clip (16-bit mono PCM at the codec's rate).

        Afterwards every request can use it, also after the worker was started again. Raises VoiceRefused or EngineLost;
        then there is no such voice.
        """
        if self.info is None:
            raise EngineLost(_NOT_READY)
        if self._unsent > UNSENT_BYTES:
            raise EngineLost(_BUSY)
        registration = RegisterVoice(name, pcm, next(self._tickets))
        answer = asyncio.get_running_loop().create_future()
        self._registrations[registration.ticket] = answer
        self._send(registration)
        try:
            async with asyncio.timeout(_REGISTER_DEADLINE_S):
                error = await answer
        except TimeoutError:
            self.forget_voice(name)
            raise EngineLost("The speech engine did not encode the clip in time; try again shortly.") from None
        except BaseException:
            self.forget_voice(name)
            raise
        finally:
            del self._registrations[registration.ticket]
        if error:
            raise VoiceRefused(error)
        self._voices[name] = pcm

    def forget_voice(self, name: str) -> None:
        """Forget a voice, whether it was registered at run time or came with the configuration."""
        self._voices.pop(name, None)
        kept = [voice for voice in self._config.voices if voice.name != name]
        self._config = msgspec.structs.replace(self._config, voices=kept)
        self._send(ForgetVoice(name))

    @property
    def _unsent(self) -> int:
        """Return the bytes that wait for the worker to read, less the voices that were sent to it again."""
        waiting = self._writer.transport.get_write_buffer_size() if self._writer is not None else 0
        return max(0, waiting - self._told_again)

    def _send(self, message: Inbound) -> None:
        if self._writer is None:
            return
        self._writer.write(packed(message))
        if self._unsent > MOST_UNSENT_BYTES:
            self._lose("does not read what it is sent")

    def _lose(self, why: str) -> None:
        """Give up on the worker that runs. The task that reads its messages notices the end, and cleans up."""
        if self._process is None or self._writer is None:
            return
        log.error("the engine process %s: it is killed", why)
        self._process.kill()
        self._writer.transport.abort()  # drops what waits for the process, even if that cannot be ended
        self._writer = None

    async def _watch(self) -> None:
        """Give up on a worker that says nothing for too long."""
        while True:
            await asyncio.sleep(_TICK_S)
            limit = SILENCE_S if self.info is not None else LOADING_SILENCE_S
            if self._silence.tick(time.monotonic()) > limit:
                self._lose(f"has said nothing for {limit:g} s")
                return

    async def _run_worker(self) -> _End:
        # spawning takes milliseconds and happens at start and after a crash only
        self._process, ours = start_child("realtime.engine.worker")
        process = self._process
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 24)
        self._silence, self._told_again = Silence(_TICK_S, time.monotonic()), 0
        watch = asyncio.create_task(self._watch())
        try:
            self._writer.write(packed(self._config))
            await self._read(reader)
        finally:
            watch.cancel()
            was_ready, stage = self.info is not None, self.stage
            await self._set(info=None, stage="starting" if self.error is None else "failed")
            if self._writer is not None:
                with contextlib.suppress(ConnectionError):
                    self._writer.write(packed(Shutdown()))
                self._writer.close()
                self._writer = None
            self._router.fail_all(LOST)
            for answer in self._registrations.values():
                if not answer.done():
                    answer.set_exception(EngineLost(LOST))
            self.gauges = Gauges()
            await reap(process)
            self._process = None
        return _End(was_ready, stage, process.returncode)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = msgspec.msgpack.Decoder(Outbound)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "little")
                message = decoder.decode(await reader.readexactly(size))
                self._silence.broken()
                match message:
                    case Alive():
                        pass
                    case StepOutput():
                        self.gauges = message.gauges
                        for event in message.events:
                            if not self._router.deliver(event):
                                self.cancel(event.request_id)
                    case Loading():
                        await self._set(info=None, stage=message.stage)
                    case VoiceRegistered():
                        self._registered(message)
                    case EngineInfo():
                        self._told_again = sum(map(len, self._voices.values()))
                        for name, pcm in self._voices.items():
                            self._send(RegisterVoice(name, pcm, next(self._tickets)))
                        await self._set(info=message, stage="ready")
                    case LoadFailed():
                        await self._set(info=None, stage="failed", error=message.error)

    def _registered(self, message: VoiceRegistered) -> None:
        answer = self._registrations.get(message.ticket)
        if answer is not None and not answer.done():
            answer.set_result(message.error)
        elif message.error:  # nothing awaits this answer: it is for a voice that was sent again to a new worker
            log.error("a voice could not be registered again: %s", message.error)

    async def _set(self, *, info: EngineInfo | None, stage: str, error: str | None = None) -> None:
        async with self._changed:
            self.info, self.stage, self.error = info, stage, error or self.error
            self._changed.notify_all()
