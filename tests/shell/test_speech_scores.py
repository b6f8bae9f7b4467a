"""Scope: audio and its scores go on together and in order, however late the scores come."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.hearing.listening import Heard, InlineHearing
from realtime.session.messages import SCORE_SAMPLES, UserAudio
from realtime.shell.speech_scores import SpeechScores

W = 2 * SCORE_SAMPLES


class Scripted:
    """Hears when it is told to: the n-th window of a stream has the score n/1000."""

    name = "script"

    def __init__(self) -> None:
        self.heard: Heard | None = None
        self.pushed = self.told = self.opened = self.closed = 0

    def open(self, heard: Heard) -> Any:
        self.heard, self.pushed, self.told = heard, 0, 0
        self.opened += 1
        return self

    def push(self, pcm: bytes) -> None:
        self.pushed += len(pcm)

    def close(self) -> None:
        self.closed += 1

    def tell(self, windows: int = 1 << 30) -> None:
        told = min(self.told + windows, self.pushed // W)
        scores = tuple(n / 1000 for n in range(self.told, told))
        self.told = told
        if scores:
            assert self.heard is not None
            self.heard(scores)


def _scores() -> tuple[Scripted, SpeechScores, list[UserAudio]]:
    hearing, passed = Scripted(), list[UserAudio]()
    return hearing, SpeechScores(hearing, passed.append), passed


@given(st.lists(st.integers(1, 3 * SCORE_SAMPLES), min_size=1, max_size=12), st.integers(0, 10_000))
def test_audio_comes_whole_in_order_and_each_window_with_the_audio_that_completed_it(
    sizes: list[int], seed: int
) -> None:
    random, (hearing, scores, passed) = np.random.default_rng(seed), _scores()
    for index, samples in enumerate(sizes):
        scores.take_in(bytes([index]) * (2 * samples), str(index))
        if random.integers(2):
            hearing.tell(int(random.integers(4)))
    hearing.tell()
    assert [(audio.pcm, audio.event_id) for audio in passed] == [
        (bytes([index]) * (2 * samples), str(index)) for index, samples in enumerate(sizes)
    ]
    samples = windows = 0
    for audio in passed:
        samples += len(audio.pcm) // 2
        assert audio.scores == tuple(n / 1000 for n in range(windows, samples // SCORE_SAMPLES))
        windows = samples // SCORE_SAMPLES


def test_audio_that_completes_no_window_does_not_wait_unless_there_is_some_before_it() -> None:
    hearing, scores, passed = _scores()
    scores.take_in(bytes(960))
    assert [len(audio.pcm) for audio in passed] == [960]
    scores.take_in(bytes(960))
    scores.take_in(bytes(960))
    scores.take_in(bytes(3))
    assert len(passed) == 1
    hearing.tell()
    assert [(len(audio.pcm), audio.scores) for audio in passed[1:]] == [(960, (0.0,)), (960, ()), (3, ())]


def test_when_nobody_wants_to_know_any_more_what_waits_goes_on_and_the_next_stream_starts_anew() -> None:
    hearing, scores, passed = _scores()
    scores.take_in(bytes(W + 100))
    scores.take_in(bytes(W))
    scores.rest()
    assert [(len(audio.pcm), audio.scores) for audio in passed] == [(W + 100, ()), (W, ())]
    scores.rest()
    assert (hearing.opened, hearing.closed) == (1, 1)
    scores.take_in(bytes(W - 100))
    assert len(passed) == 3, "what an earlier stream had left over is forgotten"
    scores.take_in(bytes(100))
    hearing.tell()
    assert (hearing.opened, passed[-1].scores) == (2, (0.0,))


def test_after_the_end_nothing_is_passed_on() -> None:
    hearing, scores, passed = _scores()
    scores.take_in(bytes(W))
    scores.close()
    assert (passed, hearing.closed) == ([], 1)


async def test_who_waits_until_it_is_settled_waits_for_what_was_there_and_for_no_more() -> None:
    hearing, scores, passed = _scores()
    await scores.settled()
    scores.take_in(bytes(W))
    waiting = asyncio.create_task(scores.settled())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    scores.take_in(bytes(W))
    hearing.tell(1)
    await asyncio.wait_for(waiting, 5)
    assert len(passed) == 1
    cut = asyncio.create_task(scores.settled())
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.sleep(0)
    hearing.tell()
    assert len(passed) == 2, "who waited may be gone"


@pytest.mark.parametrize("hearing", [None, InlineHearing()])
def test_without_anybody_who_hears_and_with_one_here_audio_goes_on_at_once(hearing: InlineHearing | None) -> None:
    passed: list[UserAudio] = []
    SpeechScores(hearing, passed.append).take_in(bytes(3 * W))
    assert [(len(audio.pcm), len(audio.scores)) for audio in passed] == [(3 * W, 0 if hearing is None else 3)]
