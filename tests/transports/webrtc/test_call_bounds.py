"""Scope: the shell around a session has an end to everything it waits for, and a bound to everything that waits."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator

import numpy as np
import pytest

from codec_stream.formats import SpeechDecoder
from protocol.client_events import ClientEvent, ItemCreate, ItemRetrieve, ResponseCreate
from protocol.objects import InputText, NewMessage
from protocol.server_events import ResponseDone, ServerEvent
from realtime.agent.brain import Brain, Dialogue, Reader
from realtime.engine.client import EngineProcess, Sink
from realtime.engine.messages import Audio, EngineConfig, EngineInfo, Gauges
from realtime.metrics.registry import Metrics
from realtime.request import Speak
from realtime.session import holding
from realtime.session.messages import Effect
from realtime.session.shared import Limits
from realtime.shell import shell as call
from realtime.shell.shell import Shell
from tests.session.harness import RATE, runtime


class Engine:
    """Gives half a minute of audio at once, and remembers what it was told to stop."""

    info: EngineInfo | None = None
    stage = "ready"
    gauges = Gauges()

    def __init__(self) -> None:
        self.held: list[bool] = []
        self.cancelled: list[str] = []

    def submit(self, request: Speak, sink: Sink) -> None:
        for second in range(30):
            sink(Audio(request.request_id, second * RATE, bytes(2 * RATE)))

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)

    def hold(self, request_id: str, held: bool) -> None:
        self.held.append(held)

    def drop_context(self, context_id: str) -> None:
        pass


class Client:
    """A wire whose client asks `asked` and then stays; taking an event takes it `slowness_s`."""

    stalled = False

    def __init__(self, asked: list[ClientEvent], slowness_s: float = 0.0) -> None:
        self.asked, self.taken = asked, 0
        self.slowness_s = slowness_s
        self.got: list[ServerEvent] = []
        self.leave = asyncio.Event()

    async def send(self, event: ServerEvent) -> None:
        await asyncio.sleep(self.slowness_s)
        self.got.append(event)

    async def close(self, code: int, reason: str) -> None:
        pass

    async def incoming(self) -> AsyncIterator[ClientEvent]:
        for event in self.asked:
            self.taken += 1
            yield event
        await self.leave.wait()


class Silent:
    """A brain that never says a word."""

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str]:
        await asyncio.sleep(3600)
        yield "never"


ASK: list[ClientEvent] = [ItemCreate(item=NewMessage("user", [InputText("Hello there.")])), ResponseCreate()]


def _call(client: Client, engine: Engine, brain: Brain) -> Shell:
    meters = Metrics(EngineProcess(EngineConfig()), lambda: []).session_meters("websocket", 24000)
    return Shell(client, engine, brain, runtime(), Limits(), meters, asyncio.Event())


async def test_a_client_that_asks_faster_than_it_reads_is_read_no_further() -> None:
    client = Client([ItemRetrieve(item_id="nope")] * 5000, slowness_s=0.01)
    running = asyncio.create_task(_call(client, Engine(), Reader()).run())
    await asyncio.sleep(0.5)
    assert client.taken < 1024 + 200
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Closing:
    """A brain that takes its time to close."""

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str]:
        try:
            yield "Hello there, this is it. And then there is some more to say. "
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.5)


class Later(Engine):
    """Gives audio when it is told to."""

    async def started(self) -> tuple[Speak, Sink]:
        while not self.asked:
            await asyncio.sleep(0.01)
        return self.asked[0]

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Speak, Sink]] = []

    def submit(self, request: Speak, sink: Sink) -> None:
        self.asked.append((request, sink))


async def test_a_session_that_breaks_is_over_and_never_raises_into_the_engines_reader() -> None:
    engine = Later()
    talk = _call(Client(ASK), engine, Closing())
    running = asyncio.create_task(talk.run())
    request, sink = await engine.started()

    def break_down(*_: object) -> list[Effect]:
        raise KeyError("a bug")

    talk.session.receive = break_down  # type: ignore[method-assign]
    for _ in range(3):  # the last ones, while the brain closes
        sink(Audio(request.request_id, 0, bytes(960)))
        await asyncio.sleep(0.1)
    with pytest.raises((ExceptionGroup, KeyError)):
        await running
    assert engine.cancelled == [request.request_id]


async def test_a_brain_that_says_nothing_fails_the_response_as_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "_BRAIN_PATIENCE_S", 0.05)
    client = Client(ASK)
    running = asyncio.create_task(_call(client, Engine(), Silent()).run())
    until = time.monotonic() + 5
    while not any(isinstance(event, ResponseDone) for event in client.got) and time.monotonic() < until:
        await asyncio.sleep(0.01)
    client.leave.set()
    await running
    (done,) = [event.response for event in client.got if isinstance(event, ResponseDone)]
    assert done.status_details is not None
    assert (done.status, done.status_details.error.code) == ("failed", "brain_failed")  # type: ignore[union-attr]
    assert done.status_details.error.type == "server_error"  # type: ignore[union-attr]


async def test_a_listener_that_takes_nothing_for_long_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "_LONGEST_HOLD_S", 0.3)
    client, engine = Client(ASK, slowness_s=1.0), Engine()
    await asyncio.wait_for(_call(client, engine, Reader()).run(), 5.0)
    assert engine.held == [True]
    assert len(set(engine.cancelled)) == 1


def test_resampling_a_long_message_takes_memory_in_step_with_it() -> None:
    audio = np.zeros(600_000, np.uint8).tobytes()  # 75 s at 8 kHz
    decoder = SpeechDecoder("pcm_mulaw", 8000)
    tracemalloc.start()
    try:
        pcm = decoder.push(audio)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * len(pcm)
