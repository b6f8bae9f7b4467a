"""Scope: a session whose user speaks while the process that hears is killed, stopped or cannot be had: its turns end,
it goes on, and says who listens."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from protocol.client_events import ClientEvent, InputAudioAppend, InputAudioCommit, SessionUpdate
from protocol.objects import AudioInput, ServerVad, SessionAudio, SessionConfig
from protocol.server_events import InputCommitted, ServerEvent, SessionUpdated, SpeechStarted, SpeechStopped
from realtime.agent.brain import Reader
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineConfig
from realtime.hearing import process as hearing_process
from realtime.hearing.process import HearingProcess
from realtime.metrics.registry import Metrics
from realtime.session.shared import Limits
from realtime.shell.shell import Shell
from tests.hearing import sounds
from tests.session.harness import runtime

PATIENCE_S = 60.0
TURNS = SessionUpdate(
    session=SessionConfig(
        audio=SessionAudio(
            input=AudioInput(turn_detection=ServerVad(prefix_padding_ms=0, silence_duration_ms=300)),
        )
    )
)


class Client:
    """A wire whose client says what a test has it say."""

    stalled = False

    def __init__(self) -> None:
        self.says: asyncio.Queue[ClientEvent] = asyncio.Queue()
        self.got: list[ServerEvent] = []

    async def send(self, event: ServerEvent) -> None:
        self.got.append(event)

    async def close(self, code: int, reason: str) -> None:
        pass

    async def incoming(self) -> AsyncIterator[ClientEvent]:
        while True:
            yield await self.says.get()

    def say(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), 1920):
            self.says.put_nowait(InputAudioAppend(audio=pcm[at : at + 1920]))

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(event, kind) for event in self.got)

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{what}: {[type(event).__name__ for event in self.got]}") from None


@asynccontextmanager
async def _session() -> AsyncIterator[tuple[Client, HearingProcess]]:
    hearing, client = HearingProcess(), Client()
    engine = EngineProcess(EngineConfig("none"))
    meters = Metrics(engine, lambda: []).session_meters("websocket", 24000)
    told = runtime(hears="silero")
    shell = Shell(client, engine, Reader(), told, Limits(), meters, asyncio.Event(), hearing=hearing)
    tasks = [asyncio.create_task(hearing.run()), asyncio.create_task(shell.run())]
    client.says.put_nowait(TURNS)
    try:
        yield client, hearing
    finally:
        for task in reversed(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_turn_in_whose_middle_the_process_is_lost_is_one_turn_of_all_that_was_said(
    sent: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing_process, "_PATIENCE_S", PATIENCE_S)
    audio = sounds.pcm(sounds.clip("question"))
    half = len(audio) // 3840 * 1920
    async with _session() as (client, hearing):
        client.say(audio[:half])
        await client.until(lambda: client.count(SpeechStarted), "the turn begins")
        assert hearing.pid is not None
        os.kill(hearing.pid, sent)
        client.say(audio[half:] + bytes(48000))
        await client.until(lambda: client.count(InputCommitted), "the turn ends")
        assert (client.count(SpeechStarted), client.count(SpeechStopped)) == (1, 1)
        stopped = next(event for event in client.got if isinstance(event, SpeechStopped))
        assert stopped.audio_end_ms == pytest.approx(len(audio) / 48 + 300, abs=350)


async def test_without_any_process_a_turn_under_way_ends_and_the_client_commits_and_is_told_that_nothing_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audio = sounds.pcm(sounds.clip("question"))
    half = len(audio) // 3840 * 1920
    async with _session() as (client, hearing):
        await client.until(lambda: hearing.name, "it is named")
        monkeypatch.setattr(hearing_process, "_PATIENCE_S", PATIENCE_S)
        client.say(audio[:half])
        await client.until(lambda: client.count(SpeechStarted), "the turn begins")

        def none(module: str) -> Any:
            raise OSError("no process can be started")

        monkeypatch.setattr(hearing_process, "start_child", none)
        monkeypatch.setattr(hearing_process, "_PATIENCE_S", 0.3)
        assert hearing.pid is not None
        os.kill(hearing.pid, signal.SIGKILL)
        client.say(audio[half:])
        await client.until(lambda: client.count(InputCommitted), "the turn ends")
        await client.until(lambda: not hearing.name, "nothing listens")
        await asyncio.sleep(0.6)  # a tick or two of the session
        client.say(audio[:48000])
        client.says.put_nowait(InputAudioCommit())
        client.says.put_nowait(TURNS)
        await client.until(lambda: client.count(SessionUpdated) == 2, "it goes on")
        assert (client.count(SpeechStarted), client.count(InputCommitted)) == (1, 2)
        shown = next(event for event in reversed(client.got) if isinstance(event, SessionUpdated))
        assert shown.session.voiced.listening is False
