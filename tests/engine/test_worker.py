"""Scope: the engine behind its process boundary: spoken to, killed, started again, shut down; and in-process."""

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec_stream.errors import CheckpointError
from realtime.engine.client import EngineProcess, Router
from realtime.engine.inline import InlineEngine
from realtime.engine.load import load_engine
from realtime.engine.messages import Cancel, DropContext, EngineConfig, Event, Hold, Inbound, Shutdown
from realtime.framing import Inbox, packed
from realtime.request import Speak
from tests.engine.harness import GREEDY, SMART, Stage, load, no_front_end
from tests.engine.process import PATIENCE_S, TEXT, Listener, running, speak


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def test_it_speaks_survives_kill_9_and_leaves_nothing_behind(tiny_checkpoint: Path) -> None:
    inline, _ = load(tiny_checkpoint, slots=4)
    stage = Stage(inline)
    stage.speak(Speak("a", TEXT, SMART, sampling=GREEDY, max_frames=12, paced=False))
    inline.close()
    await asyncio.sleep(0)
    descriptors, children = _descriptors(), _children()

    async with running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        early = speak(engine, "early")
        assert early.ended[0].reason == "overloaded", "not ready is said at once"
        info = await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        assert (info.kind, info.max_slots, info.dtype, info.sample_rate) == ("noise", 4, "float32", 24000)

        first = speak(engine, "a", paced=False)
        ended = await first.end()
        assert ended.reason in ("stop", "length")
        assert ended.samples == sum(map(len, first.pcm))
        assert np.abs(np.concatenate(first.pcm).astype(int) - stage.pcm("a").astype(int)).max() <= 1

        for _ in range(2):
            endless = [speak(engine, f"live {n}", max_frames=300, text=TEXT * 4) for n in range(3)]
            await asyncio.wait_for(asyncio.gather(*(listener.heard.wait() for listener in endless)), PATIENCE_S)
            before, restarts = engine.pid, engine.restarts
            assert before is not None
            os.kill(before, signal.SIGKILL)
            for listener in endless:
                assert (await listener.end()).reason == "failed"
            assert engine.info is None
            refused = speak(engine, "meanwhile")
            assert refused.ended[0].reason == "overloaded"
            await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
            assert engine.restarts == restarts + 1
            assert engine.pid != before
            assert not psutil.pid_exists(before) or psutil.Process(before).ppid() != os.getpid(), "a zombie"
            again = speak(engine, "a", paced=False)
            assert (await again.end()).frames == ended.frames
            assert all(len(listener.ended) == 1 for listener in endless)
        live = speak(engine, "live at the end", max_frames=300, text=TEXT * 4)
        await asyncio.wait_for(live.heard.wait(), PATIENCE_S)
    assert [event.reason for event in live.ended] == ["failed"]
    await asyncio.sleep(0.05)
    assert _children() == children
    assert _descriptors() == descriptors


async def test_messages_reach_the_worker_while_it_speaks(tiny_checkpoint: Path) -> None:
    async with running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        listeners = [speak(engine, f"{n}", max_frames=300, text=TEXT * 4, context_id="call") for n in range(3)]
        await asyncio.wait_for(asyncio.gather(*(listener.heard.wait() for listener in listeners)), PATIENCE_S)
        assert engine.gauges.requests == 3
        engine.hold("0", True)
        engine.hold("nobody", True)
        engine.drop_context("call")
        engine.cancel("nobody")
        for n, listener in enumerate(listeners):
            engine.cancel(f"{n}")
            assert (await listener.end()).reason == "cancelled"
        invalid = speak(engine, "silent", text="...")
        assert (await invalid.end()).reason == "invalid"
        deadline = time.monotonic() + 10
        while engine.gauges.slots or engine.gauges.pages_held or engine.gauges.requests:
            assert time.monotonic() < deadline, engine.gauges
            await asyncio.sleep(0.01)


class Broken:
    """Takes its first event badly."""

    def __init__(self) -> None:
        self.offered: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.offered.append(event)
        raise RuntimeError("a bug of one session")


async def test_a_session_that_breaks_is_let_go_and_the_others_are_spoken_to(
    tiny_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        broken = Broken()
        engine.submit(Speak("broken", TEXT * 4, SMART, sampling=GREEDY, max_frames=300), broken)
        other = speak(engine, "other", text=TEXT * 4, max_frames=300)
        await asyncio.wait_for(other.heard.wait(), PATIENCE_S)
        async with asyncio.timeout(PATIENCE_S):
            while engine.gauges.requests > 1:
                await asyncio.sleep(0.01)
        assert not other.ended, "the broken one was cancelled, not waited for"
        engine.cancel("other")
        assert (await other.end()).reason == "cancelled"
        assert engine.restarts == 0
    assert len(broken.offered) == 1
    assert ["broken" in record.message for record in caplog.records] == [True], "said once"


def test_a_sink_that_breaks_at_the_end_keeps_no_other_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    router, broken, listener = Router(), Broken(), Listener()
    router.open("broken", broken)
    router.open("other", listener)
    router.fail_all("the engine is gone")
    assert [event.reason for event in listener.ended] == ["failed"]
    assert len(broken.offered) == len(caplog.records) == 1
    assert len(router) == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_of_the_terminal_does_not_reach_a_worker_that_is_being_born(
    tiny_checkpoint: Path, sent: signal.Signals
) -> None:
    async with running(EngineConfig(str(tiny_checkpoint), slots=1, threads=1)) as engine:
        while engine.pid is None:
            await asyncio.sleep(0)
        born = engine.pid
        for _ in range(20):
            os.kill(born, sent)
            await asyncio.sleep(0.02)
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        assert (engine.pid, engine.restarts) == (born, 0)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:one", ""])
def test_a_device_there_is_not_is_one_sentence(tiny_checkpoint: Path, device: str) -> None:
    config = EngineConfig(str(tiny_checkpoint), slots=1, threads=1, device=device)
    with pytest.raises(CheckpointError, match=f"device is {device!r}; it is auto, cpu, cuda or cuda:N"):
        load_engine(config, no_front_end, lambda stage: None)


@pytest.mark.parametrize(
    ("device", "seen", "told"), [("cuda:1", 0, "sees no CUDA device"), ("cuda:3", 2, "cuda:0 to cuda:1")]
)
def test_a_cuda_device_that_is_not_here_is_told_before_anything_is_loaded(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, device: str, seen: int, told: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    config = EngineConfig(str(tiny_checkpoint), slots=1, threads=1, device=device)
    with pytest.raises(CheckpointError, match=told):
        load_engine(config, no_front_end, lambda stage: None)


async def _refused_for_good(config: EngineConfig, why: str) -> None:
    children = _children()
    engine = EngineProcess(config)
    task = asyncio.create_task(engine.run())
    with pytest.raises(RuntimeError, match=why):
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
    await asyncio.wait_for(task, PATIENCE_S)
    assert engine.restarts == 0
    assert engine.info is None
    assert _children() == children


async def test_an_engine_that_cannot_load_says_why_and_does_not_try_again(tmp_path: Path) -> None:
    await _refused_for_good(EngineConfig(str(tmp_path), threads=1), r"config\.json is missing")


async def test_an_engine_that_gets_no_memory_says_how_much_it_asked_for_and_does_not_try_again(
    tiny_checkpoint: Path,
) -> None:
    config = EngineConfig(str(tiny_checkpoint), threads=1, kv_positions=10**12)
    await _refused_for_good(
        config, r"there is not enough memory \(\d+\.\d\d GiB were asked for, \d+\.\d\d GiB were free\)"
    )


async def test_an_engine_that_fails_in_a_way_nobody_foresaw_leaves_a_traceback_and_does_not_try_again(
    tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")
    (folder / "voiced.json").write_text('{"voices": [{"name": "amy"}]}')
    await _refused_for_good(
        EngineConfig(str(folder), slots=1, threads=1), "failed unexpectedly \\(KeyError: 'scene'\\)"
    )
    assert "Traceback" in capfd.readouterr().err


async def test_a_shutdown_while_loading_leaves_no_process(tiny_checkpoint: Path) -> None:
    children = _children()
    async with running(EngineConfig(str(tiny_checkpoint), threads=1)) as engine:
        while engine.pid is None:
            await asyncio.sleep(0.01)
        assert len(_children() - children) == 1
    assert _children() == children


@asynccontextmanager
async def _inline(folder: Path) -> AsyncIterator[InlineEngine]:
    inner, info = load(folder, slots=4)
    engine = InlineEngine(inner, info)
    task = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_in_process_engine_keeps_the_same_promises(tiny_checkpoint: Path) -> None:
    async with _inline(tiny_checkpoint) as engine:
        spoken = [speak(engine, f"{n}", paced=False) for n in range(4)]
        late = speak(engine, "late")
        for listener in spoken:
            ended = await listener.end()
            assert ended.samples == sum(map(len, listener.pcm)) > 0
        assert (await late.end()).reason == "overloaded"
        cut = speak(engine, "cut", max_frames=300, text=TEXT * 4)
        await asyncio.wait_for(cut.heard.wait(), PATIENCE_S)
        engine.hold("cut", True)
        engine.cancel("cut")
        assert (await cut.end()).reason == "cancelled"
        live = speak(engine, "live", max_frames=300, text=TEXT * 4)
        await asyncio.wait_for(live.heard.wait(), PATIENCE_S)
    assert [event.reason for event in live.ended] == ["failed"]


_MESSAGES: list[Inbound] = [
    Speak("a", "Hello", SMART, context_id="c", seed=2**62, lead_s=0.25),
    Cancel("a"),
    Hold("a", True),
    DropContext("c"),
    Shutdown(),
]


@given(st.lists(st.sampled_from(_MESSAGES), max_size=6), st.integers(0, 10_000))
def test_messages_come_out_whole_however_the_bytes_arrive(messages: list[Inbound], seed: int) -> None:
    random = np.random.default_rng(seed)
    wire = b"".join(packed(message) for message in messages)
    ours, theirs = socket.socketpair()
    got: list[Inbound] = []
    with ours, theirs:
        inbox = Inbox(theirs)
        assert not inbox.wait(0)
        while wire:
            size = int(random.integers(1, 60))
            ours.sendall(wire[:size])
            wire = wire[size:]
            assert inbox.wait(1)
            got += [msgspec.msgpack.decode(body, type=Inbound) for body in inbox.receive()]
        assert got == messages
        ours.close()
        with pytest.raises(EOFError):
            list(inbox.receive())
