"""Scope: an engine that hangs: it is noticed, its requests end, it is started again; and what looks like it is not."""

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from realtime.engine import client
from realtime.engine.client import LOADING_SILENCE_S, SILENCE_S, EngineLost, EngineProcess
from realtime.engine.heartbeat import BEAT_S, Heartbeat, Silence
from realtime.engine.messages import Alive, EngineConfig
from realtime.request import Speak
from tests.engine.harness import clip, cloned
from tests.engine.process import PATIENCE_S, TEXT, Listener, running, speak

_NOTICED_S = 2 * SILENCE_S + 1.0
"""Far more than it should take, far less than for ever."""


async def _ready(engine: EngineProcess) -> int:
    await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
    assert engine.pid is not None
    return engine.pid


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


async def _lost(engine: EngineProcess) -> None:
    while engine.info is not None:
        await engine.wait_changed()


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).ppid() != os.getpid()


async def test_an_engine_that_hangs_is_killed_and_started_again_and_every_request_ends_once(
    tiny_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        before = await _ready(engine)
        live = [speak(engine, f"live {n}", max_frames=300, text=TEXT * 4) for n in range(3)]
        await asyncio.wait_for(asyncio.gather(*(listener.heard.wait() for listener in live)), PATIENCE_S)
        _stop(before)
        late = speak(engine, "late")
        registration = asyncio.create_task(engine.register_voice("amy", clip(1).pcm))
        async with asyncio.timeout(_NOTICED_S):
            for listener in (*live, late):
                assert (await listener.end()).reason == "failed"
            with pytest.raises(EngineLost):
                await registration
        assert engine.info is None
        assert speak(engine, "meanwhile").ended[0].reason == "overloaded"
        assert await _ready(engine) != before
        assert engine.restarts == 1
        assert _gone(before)
        assert (await speak(engine, "again").end()).reason in ("stop", "length")
        assert all(len(listener.ended) == 1 for listener in (*live, late))
    assert [f"said nothing for {SILENCE_S:g} s" in record.message for record in caplog.records] == [True, False]


async def test_an_engine_that_hangs_while_nobody_speaks_is_noticed_too(tiny_checkpoint: Path) -> None:
    async with running(EngineConfig(str(tiny_checkpoint), slots=1, threads=1)) as engine:
        before = await _ready(engine)
        await asyncio.sleep(SILENCE_S + 1)
        assert engine.pid == before, "idle is not silent"
        _stop(before)
        await asyncio.wait_for(_lost(engine), _NOTICED_S)
        assert await _ready(engine) != before


async def test_a_load_that_stands_still_for_a_while_is_no_hang(tiny_checkpoint: Path) -> None:
    assert LOADING_SILENCE_S > 10 * SILENCE_S
    async with running(EngineConfig(str(tiny_checkpoint), slots=1, threads=1)) as engine:
        while engine.stage == "starting":
            await asyncio.wait_for(engine.wait_changed(), PATIENCE_S)
        before = engine.pid
        assert before is not None
        assert engine.info is None
        _stop(before)
        await asyncio.sleep(SILENCE_S + 1)
        os.kill(before, signal.SIGCONT)
        assert await _ready(engine) == before
        assert engine.restarts == 0


async def test_a_load_that_hangs_is_noticed_in_the_end(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LOADING_SILENCE_S", 1.0)
    async with running(EngineConfig(str(tiny_checkpoint), slots=1, threads=1)) as engine:
        while engine.pid is None:
            await asyncio.sleep(0)
        _stop(engine.pid)
        async with asyncio.timeout(_NOTICED_S):
            while engine.restarts == 0:
                await asyncio.sleep(0.01)


async def test_a_gateway_that_was_held_up_itself_blames_nobody(tiny_checkpoint: Path) -> None:
    async with running(EngineConfig(str(tiny_checkpoint), slots=1, threads=1)) as engine:
        before = await _ready(engine)
        asyncio.get_running_loop().call_soon(time.sleep, SILENCE_S + 1)
        await asyncio.sleep(SILENCE_S)
        assert (await speak(engine, "a").end()).reason in ("stop", "length")
        assert (engine.pid, engine.restarts) == (before, 0)


async def test_what_waits_for_an_engine_that_does_not_read_is_bounded(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "UNSENT_BYTES", 4 << 20)
    voicing = cloned(clip(1, 20.0))  # about a megabyte
    async with running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        _stop(await _ready(engine))
        listeners = [Listener() for _ in range(20)]
        for number, listener in enumerate(listeners):
            engine.submit(Speak(f"{number}", TEXT, voicing), listener)
        refused = [listener for listener in listeners if listener.ended]
        assert {listener.ended[0].reason for listener in refused} == {"overloaded"}
        assert 10 < len(refused) < 20
        assert engine._unsent < 6 << 20
        with pytest.raises(EngineLost, match="has not taken in"):
            await engine.register_voice("amy", clip(1).pcm)
        for listener in listeners:
            await asyncio.wait_for(listener.end(), _NOTICED_S)
        assert all(len(listener.ended) == 1 for listener in listeners)


async def test_an_engine_that_leaves_too_much_unread_is_lost_at_once(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client, "SILENCE_S", 1000.0)
    monkeypatch.setattr(client, "MOST_UNSENT_BYTES", 1 << 20)
    async with running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        before = await _ready(engine)
        live = speak(engine, "live", max_frames=300, text=TEXT * 4)
        await asyncio.wait_for(live.heard.wait(), PATIENCE_S)
        _stop(before)
        for number in range(3000):
            engine.cancel(f"{number:01000d}")
        assert engine._unsent <= 1 << 20
        async with asyncio.timeout(_NOTICED_S):
            assert (await live.end()).reason == "failed"
        assert await _ready(engine) != before
    assert ["does not read" in record.message for record in caplog.records] == [True, False], "said once"


async def test_voices_that_a_new_worker_is_told_of_are_not_held_against_it(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_UNSENT_BYTES", 1 << 20)
    async with running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        before = await _ready(engine)
        engine._voices = {f"voice {number}": clip(number, 5.0).pcm for number in range(8)}
        os.kill(before, signal.SIGKILL)
        await asyncio.wait_for(_lost(engine), PATIENCE_S)
        after = await _ready(engine)
        assert (await speak(engine, "a").end()).reason in ("stop", "length")
        assert (engine.pid, engine.restarts) == (after, 1)


async def test_a_machine_that_ends_every_worker_while_it_loads_is_told_of(tiny_checkpoint: Path) -> None:
    engine = EngineProcess(EngineConfig(str(tiny_checkpoint), slots=1, threads=1))
    task = asyncio.create_task(engine.run())
    ended: set[int] = set()
    async with asyncio.timeout(PATIENCE_S):
        while not task.done():
            if engine.pid is not None and engine.pid not in ended:
                ended.add(engine.pid)
                os.kill(engine.pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
    assert len(ended) == 3
    with pytest.raises(
        RuntimeError, match=r"ended by SIGKILL \(starting\), 3 times in a row before .* use fewer --slots"
    ):
        await engine.wait_ready()
    assert engine.stage == "failed"


# The two halves alone.


class Beats:
    """Counts them."""

    def __init__(self, broken: bool = False) -> None:
        self.count = 0
        self._broken = broken

    def __call__(self, _message: Alive) -> None:
        self.count += 1
        if self._broken:
            raise BrokenPipeError


def _until(beats: Beats, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while beats.count < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_beats_while_it_waits_loads_and_steps() -> None:
    assert SILENCE_S >= 8 * BEAT_S
    beats = Beats()
    heartbeat = Heartbeat(beats)
    _until(beats, 2)
    with heartbeat.step():
        _until(beats, 4)
    heartbeat.stop()


def test_a_step_that_does_not_end_ends_the_beat_and_says_where_it_stands(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    beats = Beats()
    heartbeat = Heartbeat(beats, hang_s=2 * BEAT_S)
    with caplog.at_level(logging.ERROR), heartbeat.step():
        deadline = time.monotonic() + PATIENCE_S
        while not caplog.records:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        counted = beats.count
        time.sleep(3 * BEAT_S)
        assert beats.count == counted
    assert "test_a_step_that_does_not_end" in capfd.readouterr().err
    heartbeat.stop()


def test_a_beat_nobody_hears_is_the_last() -> None:
    beats = Beats(broken=True)
    Heartbeat(beats)
    _until(beats, 1)
    time.sleep(3 * BEAT_S)
    assert beats.count == 1


def test_silence_is_counted_by_ticks_and_ends_with_a_word() -> None:
    silence = Silence(0.25, now=10.0)
    assert [silence.tick(10.0 + 0.25 * tick) for tick in range(1, 5)] == [0.25, 0.5, 0.75, 1.0]
    assert silence.tick(60.0) == 1.5, "a loop that stood still for 49 s counts two ticks"
    silence.broken()
    assert silence.tick(60.25) == 0.25
