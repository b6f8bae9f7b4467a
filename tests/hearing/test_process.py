"""Scope: hearing behind its process boundary: a real process that is killed, stopped and signalled, and a scripted one
that is late, silent or gone."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import psutil
import pytest

from realtime.framing import Bodies, packed
from realtime.hearing import process as hearing_process
from realtime.hearing.listening import InlineHearing
from realtime.hearing.messages import Audio, Inbound, Listen, Ready, Rest, Scores, StreamScores
from realtime.hearing.process import HearingProcess
from realtime.hearing.windows import WINDOW_BYTES
from tests.hearing import sounds

PATIENCE_S = 60.0


async def _until(holds: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}") from None


@asynccontextmanager
async def _running() -> AsyncIterator[HearingProcess]:
    hearing = HearingProcess()
    task = asyncio.create_task(hearing.run())
    try:
        yield hearing
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Ear:
    """A stream and the scores it got."""

    def __init__(self, hearing: Any) -> None:
        self.scores: list[float] = []
        self.pushed = 0
        self.stream = hearing.open(self.scores.extend)

    def push(self, pcm: bytes) -> None:
        self.pushed += len(pcm)
        self.stream.push(pcm)

    @property
    def answered(self) -> bool:
        assert len(self.scores) <= self.pushed // WINDOW_BYTES, "a window is scored once"
        return len(self.scores) == self.pushed // WINDOW_BYTES

    async def settled(self) -> None:
        await _until(lambda: self.answered, "every window is scored")


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- a real process ---


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a process starts slowly: that is not what these tests are about."""
    monkeypatch.setattr(hearing_process, "_PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(hearing_process, "_NAME_S", PATIENCE_S)


@pytest.mark.usefixtures("patient")
async def test_scores_are_those_of_a_detector_here_and_nobody_pays_until_somebody_listens() -> None:
    await asyncio.sleep(0)
    children, descriptors = _children(), _descriptors()
    audio = sounds.pcm(sounds.clip("yes"))
    here = Ear(InlineHearing())
    here.push(audio)
    async with _running() as hearing:
        assert hearing.name == ""
        await hearing.named()
        assert hearing.name == "silero"
        await _until(lambda: _children() == children, "it told its name, and leaves: nobody listens")
        assert hearing.pid is None
        assert _descriptors() == descriptors

        ears = [Ear(hearing), Ear(hearing)]
        for at in range(0, len(audio), 960):
            for ear in ears:
                ear.push(audio[at : at + 960])
            await asyncio.sleep(0)
        for ear in ears:
            await ear.settled()
            assert ear.scores == pytest.approx(here.scores, abs=1e-6)
            ear.stream.close()
            ear.stream.close()
            ear.stream.push(audio)
        assert hearing.ready, "from the first listener on there is always one"
        assert len(_children()) == len(children) + 1
    assert [len(ear.scores) for ear in ears] == [len(here.scores)] * 2, "nothing is said after the end"
    await asyncio.sleep(0.05)
    assert (_children(), _descriptors(), hearing.name) == (children, descriptors, "")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_dies_or_hangs_is_replaced_and_no_window_is_lost(
    sent: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    audio = sounds.pcm(sounds.clip("question"))
    half = len(audio) // WINDOW_BYTES // 2 * WINDOW_BYTES
    async with _running() as hearing:
        ear = Ear(hearing)
        ear.push(audio[:half])
        await ear.settled()
        before = hearing.pid
        assert before is not None
        os.kill(before, sent)
        ear.push(audio[half:])
        await ear.settled()
        assert max(ear.scores[half // WINDOW_BYTES :]) > 0.5, "the next process looked at what the last one did not"
        assert hearing.pid not in (None, before)
        assert hearing.name == "silero"
        assert not psutil.pid_exists(before) or psutil.Process(before).ppid() != os.getpid(), "a zombie"
    ended = [record.message for record in caplog.records if "ended; it is started again" in record.message]
    assert len(ended) == 1


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_of_the_terminal_does_not_reach_a_process_that_is_being_born(sent: signal.Signals) -> None:
    async with _running() as hearing:
        ear = Ear(hearing)
        await _until(lambda: hearing.pid, "it is started")
        born = hearing.pid
        assert born is not None
        for _ in range(20):
            os.kill(born, sent)
            await asyncio.sleep(0.01)
        ear.push(bytes(WINDOW_BYTES))
        await ear.settled()
        os.kill(born, sent)
        ear.push(bytes(WINDOW_BYTES))
        await ear.settled()
        assert hearing.pid == born


async def test_a_process_that_still_loads_is_ended_with_the_gateway() -> None:
    children = _children()
    async with _running() as hearing:
        await _until(lambda: hearing.pid, "it is started")
        assert len(_children() - children) == 1
    assert _children() == children


# --- a scripted process ---


class Scripted:
    """Stands for a process: has the other end of its socket, and does what a test says."""

    def __init__(self) -> None:
        self.ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._bodies = Bodies()
        self.pid = 1
        self.killed = False

    def poll(self) -> int | None:
        return 0 if self._theirs.fileno() == -1 else self._leave_if_closed()

    def kill(self) -> None:
        self.killed = True
        self._theirs.close()

    def wait(self) -> int:
        return 0

    def tell(self, message: msgspec.Struct) -> None:
        self._theirs.sendall(packed(message))

    def told(self) -> list[Inbound]:
        """What it was sent since it last looked."""
        with suppress(BlockingIOError):
            while data := self._theirs.recv(1 << 20):
                self._bodies.add(data)
        return [msgspec.msgpack.decode(body, type=Inbound) for body in self._bodies.take()]

    async def until_told(self, windows: int) -> list[Inbound]:
        """What it was sent, once it is so many windows."""
        messages: list[Inbound] = []
        async with asyncio.timeout(PATIENCE_S):
            while sum(len(m.pcm) for m in messages if isinstance(m, Audio)) < windows * WINDOW_BYTES:
                await asyncio.sleep(0.005)
                messages += self.told()
        return messages

    def _leave_if_closed(self) -> int | None:
        try:
            gone = self._theirs.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return None
        return 0 if gone else None


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Scripted]:
    """The processes that were started, oldest first; everything takes a tenth of the time."""
    started: list[Scripted] = []

    def start(module: str) -> tuple[Scripted, socket.socket]:
        assert module == "realtime.hearing.worker"
        started.append(Scripted())
        return started[-1], started[-1].ours

    monkeypatch.setattr(hearing_process, "start_child", start)
    for name in ("_PATIENCE_S", "_HUNG_S", "_BEHIND_S", "_LOOK_S"):
        monkeypatch.setattr(hearing_process, name, getattr(hearing_process, name) / 10)
    monkeypatch.setattr(hearing_process, "_RESTART_DELAYS_S", (0.0,))
    return started


@asynccontextmanager
async def _ready(scripted: list[Scripted]) -> AsyncIterator[tuple[HearingProcess, Ear, Scripted]]:
    async with _running() as hearing:
        ear = Ear(hearing)
        await _until(lambda: scripted, "it is started")
        scripted[0].tell(Ready("script"))
        await _until(lambda: hearing.ready, "it is ready")
        await _until(lambda: scripted[0].told() == [Listen(1)], "it is told of the stream")
        yield hearing, ear, scripted[0]


async def test_whole_windows_of_all_streams_leave_in_one_piece_and_answers_find_their_stream(
    scripted: list[Scripted],
) -> None:
    async with _ready(scripted) as (hearing, ear, worker):
        other = Ear(hearing)
        ear.push(bytes(WINDOW_BYTES - 2))
        other.push(bytes(3 * WINDOW_BYTES))
        ear.push(bytes(4))
        assert await worker.until_told(4) == [
            Listen(2),
            Audio(2, bytes(3 * WINDOW_BYTES)),
            Audio(1, bytes(WINDOW_BYTES)),
        ]
        worker.tell(Scores([StreamScores(2, (0.1, 0.2, 0.3)), StreamScores(1, (0.4,))]))
        await ear.settled()
        await other.settled()
        assert (ear.scores, other.scores) == ([0.4], [0.1, 0.2, 0.3])
        other.push(bytes(WINDOW_BYTES))
        other.stream.close()
        assert await worker.until_told(1) == [Audio(2, bytes(WINDOW_BYTES)), Rest(2)]
        worker.tell(Scores([StreamScores(2, (0.9,))]))
        ear.push(bytes(WINDOW_BYTES))
        worker.tell(Scores([StreamScores(1, (0.5,))]))
        await _until(lambda: len(ear.scores) == 2, "the next answer")
        assert other.scores == [0.1, 0.2, 0.3], "nobody wants to know any more"


async def test_while_nothing_listens_it_says_so_and_audio_counts_as_silence(
    scripted: list[Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    async with _ready(scripted) as (hearing, ear, worker):
        ear.push(bytes(WINDOW_BYTES))
        await worker.until_told(1)
        worker.tell(Scores([StreamScores(1, (0.8,))]))
        await ear.settled()
        worker.kill()
        await _until(lambda: len(scripted) == 2, "another is started")
        ear.push(bytes(2 * WINDOW_BYTES))
        assert hearing.name == "script", "a moment's absence is none"
        assert ear.scores == [0.8]
        await ear.settled()
        assert (ear.scores, hearing.name) == ([0.8, 0.0, 0.0], "")
        ear.push(bytes(WINDOW_BYTES))
        assert ear.scores[3:] == [0.0], "it waits no longer"
        for _ in range(3):  # it dies again and again
            scripted[-1].kill()
            started = len(scripted)
            await _until(lambda started=started: len(scripted) > started, "and another")  # type: ignore[misc]
        scripted[-1].tell(Ready("another"))
        await _until(lambda: hearing.ready, "it is back")
        assert hearing.name == "another"
        ear.push(bytes(WINDOW_BYTES))
        assert await scripted[-1].until_told(1) == [Listen(1), Audio(1, bytes(WINDOW_BYTES))]
    messages = [record.message for record in caplog.records]
    assert [sum(what in message for message in messages) for what in ("started again", "nothing tells", "again (")] == [
        1,
        1,
        1,
    ], messages


async def test_one_that_hangs_is_killed_and_the_next_one_is_given_all_that_waits(scripted: list[Scripted]) -> None:
    async with _ready(scripted) as (hearing, ear, worker):
        ear.push(bytes(WINDOW_BYTES))
        await _until(lambda: worker.killed, "it does not answer")
        ear.push(bytes(WINDOW_BYTES))
        await _until(lambda: len(scripted) == 2, "another is started")
        scripted[1].tell(Ready("script"))
        told = await scripted[1].until_told(2)
        assert told == [Listen(1), Audio(1, bytes(2 * WINDOW_BYTES))]
        scripted[1].tell(Scores([StreamScores(1, (0.6, 0.7))]))
        await ear.settled()
        assert (ear.scores, hearing.name) == ([0.6, 0.7], "script")


async def test_one_that_waits_for_audio_does_not_hang(scripted: list[Scripted]) -> None:
    async with _ready(scripted) as (hearing, ear, worker):
        await asyncio.sleep(4 * hearing_process._HUNG_S)
        assert not worker.killed
        ear.push(bytes(WINDOW_BYTES))
        await worker.until_told(1)
        worker.tell(Scores([StreamScores(1, (0.6,))]))
        await ear.settled()
        assert hearing.ready


async def test_more_speech_than_it_can_look_at_is_not_sent_and_counts_as_what_was_before(
    scripted: list[Scripted], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hearing_process, "_HUNG_S", PATIENCE_S)
    async with _ready(scripted) as (_, ear, worker):
        ear.push(bytes(2 * WINDOW_BYTES))
        await worker.until_told(2)
        await asyncio.sleep(1.5 * hearing_process._BEHIND_S)
        for _ in range(3):
            ear.push(bytes(WINDOW_BYTES))
        assert (ear.scores, worker.told()) == ([], [])
        worker.tell(Scores([StreamScores(1, (0.3, 0.9))]))
        await ear.settled()
        assert ear.scores == [0.3, 0.9, 0.9, 0.9, 0.9]
        ear.push(bytes(WINDOW_BYTES))
        assert await worker.until_told(1) == [Audio(1, bytes(WINDOW_BYTES))], "it has caught up"
    assert ["more speech" in record.message for record in caplog.records].count(True) == 1


async def test_a_stream_that_breaks_is_closed_and_the_others_go_on(
    scripted: list[Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(scores: tuple[float, ...]) -> None:
        raise RuntimeError("a bug of one session")

    async with _ready(scripted) as (hearing, ear, worker):
        hearing.open(broken).push(bytes(WINDOW_BYTES))
        ear.push(bytes(WINDOW_BYTES))
        await worker.until_told(2)
        worker.tell(Scores([StreamScores(2, (0.5,)), StreamScores(1, (0.6,))]))
        await ear.settled()
        assert (ear.scores, hearing.ready) == ([0.6], True)
        await _until(lambda: Rest(2) in worker.told(), "it is closed")
    assert ["cannot be delivered" in record.message for record in caplog.records].count(True) == 1
