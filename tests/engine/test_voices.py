"""Scope: voices that come while the engine runs: encoded beside its steps, usable at once, there after a crash."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from realtime.checkpoints import built_in
from realtime.engine.client import EngineLost, EngineProcess, VoiceRefused
from realtime.engine.messages import EngineConfig, Event, RegisterVoice, VoiceClip, VoiceRegistered
from realtime.request import Clip, Ended, RegisteredClip, Speak
from tests.engine.harness import GREEDY, Stage, clip, cloned, load

PATIENCE_S = 120.0
CLIP = clip(7)


def _speak(request_id: str, reference: Clip | RegisteredClip) -> Speak:
    voicing = cloned(reference, "Words of the clip.")
    return Speak(request_id, "Good evening.", voicing, sampling=GREEDY, max_frames=12, paced=False)


async def _spoken(engine: EngineProcess, request: Speak) -> tuple[Ended, bytes]:
    """A request's end and its PCM."""
    done: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    pcm = bytearray()

    def sink(event: Event) -> None:
        if isinstance(event, Ended):
            done.set_result(event)
        else:
            pcm.extend(event.pcm)

    engine.submit(request, sink)
    return await asyncio.wait_for(done, PATIENCE_S), bytes(pcm)


@asynccontextmanager
async def _running(config: EngineConfig) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(config)
    task = asyncio.create_task(engine.run())
    try:
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        yield engine
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _kill(engine: EngineProcess) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        while engine.info is not None:
            await engine.wait_changed()


async def test_a_voice_registered_while_it_runs_sounds_like_its_clip_and_survives_kill_9(tiny_checkpoint: Path) -> None:
    async with _running(EngineConfig(str(tiny_checkpoint), slots=4, threads=1)) as engine:
        ended, cloned = await _spoken(engine, _speak("clip", CLIP))
        assert ended.reason in ("stop", "length")
        assert (await _spoken(engine, _speak("early", RegisteredClip("amy"))))[0].reason == "invalid"

        await asyncio.wait_for(engine.register_voice("amy", CLIP.pcm), PATIENCE_S)
        ended, named = await _spoken(engine, _speak("amy", RegisteredClip("amy")))
        assert named == cloned
        assert ended.cached_positions > 0, "the same clip's pages are found, whichever way it came"

        await _kill(engine)
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        ended, again = await _spoken(engine, _speak("again", RegisteredClip("amy")))  # waits for the encoding
        assert (ended.reason in ("stop", "length"), len(again)) == (True, len(cloned))

        engine.forget_voice("amy")
        gone, _ = await _spoken(engine, _speak("gone", RegisteredClip("amy")))
        assert (gone.reason, gone.field) == ("invalid", "voice")
        await _kill(engine)
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        assert (await _spoken(engine, _speak("still gone", RegisteredClip("amy"))))[0].reason == "invalid"


def test_the_memory_that_encoding_a_long_clip_takes_is_given_back() -> None:
    engine, _ = load(built_in(), slots=1, kv_positions=512)
    engine.clips.register("short", clip(1, 1.0).pcm)
    before = psutil.Process().memory_info().rss
    engine.clips.start([clip(2, 30.0)])[0].result(PATIENCE_S)
    assert psutil.Process().memory_info().rss - before < 150e6, "it takes twice that while it lasts"
    engine.close()


def test_a_context_goes_on_with_the_voice_it_began_with_when_that_is_forgotten(tiny_checkpoint: Path) -> None:
    engine, _ = load(tiny_checkpoint, slots=2)
    stage, clips = Stage(engine), engine.clips
    clips.register("amy", CLIP.pcm)
    clip_turn = cloned(RegisteredClip("amy"), "Words.")

    def speak(request_id: str, context_id: str) -> Ended:
        stage.speak(Speak(request_id, "Good evening.", clip_turn, context_id, GREEDY, max_frames=4))
        return stage.ended[request_id]

    kept = speak("first", "talk").prompt_positions
    clips.forget("amy")
    assert speak("second", "talk").prompt_positions >= kept
    assert (speak("another", "other").reason, speak("none", "").reason) == ("invalid", "invalid")
    engine.drop_context("talk")
    assert speak("third", "talk").reason == "invalid"
    assert not clips._in_use
    engine.close()


async def test_a_configured_voice_that_is_forgotten_does_not_come_back(tiny_checkpoint: Path) -> None:
    config = EngineConfig(str(tiny_checkpoint), slots=2, threads=1, voices=[VoiceClip("bob", CLIP.pcm)])
    async with _running(config) as engine:
        assert (await _spoken(engine, _speak("bob", RegisteredClip("bob"))))[0].reason != "invalid"
        engine.forget_voice("bob")
        await _kill(engine)
        assert (await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)).clip_voices == []


@pytest.mark.parametrize(
    ("pcm", "why"),
    [(b"", "whole 16-bit samples"), (b"\0\0\0", "whole 16-bit samples"), (bytes(2 * 24000 * 31), "at most 30 s")],
)
async def test_a_clip_that_cannot_be_used_is_refused_and_leaves_no_voice(
    tiny_checkpoint: Path, pcm: bytes, why: str
) -> None:
    async with _running(EngineConfig(str(tiny_checkpoint), slots=2, threads=1)) as engine:
        with pytest.raises(VoiceRefused, match=why):
            await asyncio.wait_for(engine.register_voice("amy", pcm), PATIENCE_S)
        assert (await _spoken(engine, _speak("amy", RegisteredClip("amy"))))[0].reason == "invalid"
        await asyncio.wait_for(engine.register_voice("amy", CLIP.pcm), PATIENCE_S)
        assert (await _spoken(engine, _speak("amy", RegisteredClip("amy"))))[0].reason != "invalid"


async def test_an_engine_that_dies_or_is_not_there_says_so_to_who_registers(tiny_checkpoint: Path) -> None:
    idle = EngineProcess(EngineConfig(str(tiny_checkpoint)))
    with pytest.raises(EngineLost, match="not ready"):
        await idle.register_voice("amy", CLIP.pcm)
    async with _running(EngineConfig(str(tiny_checkpoint), slots=2, threads=1)) as engine:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)  # it takes the message and does not answer
        registering = asyncio.create_task(engine.register_voice("amy", CLIP.pcm))
        await asyncio.sleep(0.05)
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineLost, match="stopped"):
            await asyncio.wait_for(registering, PATIENCE_S)
        await asyncio.wait_for(engine.wait_ready(), PATIENCE_S)
        assert (await _spoken(engine, _speak("amy", RegisteredClip("amy"))))[0].reason == "invalid"


def test_voices_are_encoded_beside_the_steps_and_each_ticket_is_answered_once(tiny_checkpoint: Path) -> None:
    engine, _ = load(tiny_checkpoint, slots=2)
    stage, clips = Stage(engine), engine.clips
    for ticket, name in enumerate(["amy", "bob", "cid"]):
        clips.begin(RegisterVoice(name, clip(ticket).pcm, ticket))
    clips.begin(RegisterVoice("dan", b"odd", 3))
    clips.forget("bob")
    assert clips.registering
    stage.submit(_speak("amy", RegisteredClip("amy")))  # waits for the encoding, not for the ticket
    stage.drain()
    assert stage.ended["amy"].reason in ("stop", "length")
    answers: list[VoiceRegistered] = []
    deadline = time.monotonic() + PATIENCE_S
    while clips.registering:
        answers += clips.settled()
        assert time.monotonic() < deadline
    assert sorted(answer.ticket for answer in answers) == [0, 2, 3], "what was forgotten is not answered"
    assert [answer.ticket for answer in answers if answer.error] == [3]
    assert clips.voices == ["amy", "cid"]
    assert clips.settled() == []
    clips.register("dan", CLIP.pcm)
    assert np.array_equal(clips.rows(RegisteredClip("dan")), clips.start([CLIP])[0].result(PATIENCE_S))
    engine.close()
