"""Scope: cancels in every phase, broken output, endless speech, refusals: each request ends once and harms no other."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from realtime.engine.contexts import Contexts
from realtime.engine.engine import Engine
from realtime.engine.length import frame_cap
from realtime.engine.messages import DropContext
from realtime.engine.models.speech_model import Spoken
from realtime.engine.scheduler import Phase
from realtime.engine.worker import apply
from realtime.request import Clip, Ended, RegisteredClip, Sampling, Speak, Speaker, Voicing
from realtime.text import normalise
from tests.engine.harness import GREEDY, SMART, Stage, assert_same_rows, clip, cloned, load

_TEXT = "Good evening, this is the harbour office."
SLOTS = 12


@pytest.fixture
def stage(tiny_checkpoint: Path) -> Iterator[Stage]:
    """Exact decoding, so that samples do not depend on how the chunks fell."""
    engine, _ = load(tiny_checkpoint, slots=SLOTS, prefill_positions=24, decoder="exact")
    yield Stage(engine)
    engine.close()


@pytest.fixture
def solo(tiny_checkpoint: Path) -> Iterator[Callable[[Speak], tuple[np.ndarray, np.ndarray, Ended]]]:
    """Rows, samples and end of a request that has an engine for itself."""
    engine, _ = load(tiny_checkpoint, slots=1, prefill_positions=500, decoder="exact")
    alone = Stage(engine)

    def run(request: Speak) -> tuple[np.ndarray, np.ndarray, Ended]:
        alone.speak(request)
        name = request.request_id
        return alone.rows[name], alone.pcm(name), alone.ended[name]

    yield run
    engine.close()


def _assert_as_alone(stage: Stage, request: Speak, want: tuple[np.ndarray, np.ndarray, Ended]) -> None:
    name = request.request_id
    rows, pcm, ended = want
    assert_same_rows(stage.rows[name], rows, name)
    assert len(stage.pcm(name)) == len(pcm)
    # a batch of another size may round the last bit of a sample the other way
    assert np.abs(stage.pcm(name).astype(int) - pcm.astype(int)).max(initial=0) <= 1
    assert (stage.ended[name].reason, stage.ended[name].frames) == (ended.reason, ended.frames)


def _phase(engine: Engine, request_id: str) -> str:
    if request_id in engine._waiting:
        return "encoding"
    utterance = engine._utterances.get(request_id)
    return "gone" if utterance is None else utterance.stream.phase.value


def _hundred(random: np.random.Generator) -> list[Speak]:
    requests = []
    for number in range(100):
        sampling = [GREEDY, Sampling(temperature=0.8, top_k=30), Sampling(top_k=0, top_p=0.9), Sampling(ras=True)]
        voicing = SMART if number % 9 else cloned(clip(number))
        requests.append(
            Speak(
                f"request {number}",
                f"{_TEXT} Number {number}." + _TEXT * int(random.integers(0, 3)),
                voicing,
                sampling=sampling[number % 4],
                seed=number * 7919,
                max_frames=int(random.integers(4, 30)),
                paced=bool(number % 3),
            )
        )
    return requests


def test_thirty_of_a_hundred_cancelled_anywhere_leave_the_other_seventy_as_if_alone(
    stage: Stage, solo: Callable[[Speak], tuple[np.ndarray, np.ndarray, Ended]]
) -> None:
    random = np.random.default_rng(4)
    requests = _hundred(random)
    victims = {requests[int(n)].request_id: int(random.integers(0, 36)) for n in random.permutation(100)[:30]}
    engine, queue, cancel_at, phases = stage.engine, list(requests), {}, set()
    while queue or engine.wake_at(stage.now) is not None:
        while queue and engine.gauges().requests < SLOTS and random.random() < 0.6:
            request = queue.pop(0)
            stage.submit(request)
            if request.request_id in victims:
                cancel_at[request.request_id] = stage.steps + victims[request.request_id]
        for name in [name for name, step in cancel_at.items() if step <= stage.steps]:
            phases.add("finished" if name in stage.ended else _phase(engine, name))
            engine.cancel(name)
            del cancel_at[name]
        if random.random() < 0.1:
            engine.cancel("nobody")
        stage.step()
        if engine._waiting:
            time.sleep(0.002)
    assert phases >= {"waiting", "prefill", "decode", "finished"}
    assert len(stage.ended) == 100
    stage.assert_idle()
    untouched = [request for request in requests if request.request_id not in victims]
    assert len(untouched) == 70
    for request in untouched:
        _assert_as_alone(stage, request, solo(request))
    # ids and slots serve again
    again = [request for request in requests if request.request_id in victims][:SLOTS]
    stage.speak(*again)
    for request in again:
        _assert_as_alone(stage, request, solo(request))
    stage.assert_idle()


@pytest.mark.parametrize("phase", ["encoding", "waiting", "prefill", "decode", "flush"])
def test_a_cancel_in_any_phase_ends_the_request_once_and_gives_everything_back(stage: Stage, phase: str) -> None:
    engine = stage.engine
    voicing = cloned(clip(77, 2.0)) if phase == "encoding" else SMART
    stage.submit(Speak("a", _TEXT * 3, voicing, sampling=GREEDY, max_frames=20))
    if phase == "flush":  # lasts no longer than a step: stop the step in the middle
        engine._decode_audio = lambda now: None  # type: ignore[method-assign]
    for _ in range(60):
        if _phase(engine, "a") == phase:
            break
        stage.step()
    assert _phase(engine, "a") == phase
    if phase == "flush":
        del engine._decode_audio
    engine.cancel("a")
    engine.cancel("a")
    stage.drain()
    assert stage.ended["a"].reason == "cancelled"
    stage.assert_idle()
    engine.cancel("a")
    assert engine.wake_at(stage.now) is None, "a cancel of a finished request is nothing to do"


def test_no_audio_follows_a_cancel(stage: Stage) -> None:
    stage.submit(Speak("a", _TEXT, SMART, sampling=GREEDY, max_frames=40))
    while "a" not in stage.first_audio_step:
        stage.step()
    stage.engine.cancel("a")
    before = len(stage.pcm("a"))
    stage.drain()
    assert len(stage.pcm("a")) == before
    assert stage.ended["a"].samples == before


def _poison(engine: Engine, pages: list[int]) -> None:
    engine._runner._keys[:, pages] = torch.nan


def test_a_request_whose_output_is_not_finite_fails_alone(
    stage: Stage, solo: Callable[[Speak], tuple[np.ndarray, np.ndarray, Ended]]
) -> None:
    engine = stage.engine
    names = ["a", "b", "c", "d"]
    requests = [Speak(n, f"{_TEXT} {n}", SMART, sampling=Sampling(top_k=20), seed=1, max_frames=25) for n in names]
    stage.submit(requests[0])
    for _ in range(8):
        stage.step()
    for request in requests[1:]:
        stage.submit(request)
    for _ in range(8):
        stage.step()
    stream = engine._utterances["b"].stream
    own = stream.pages[-3:]
    assert stream.phase is Phase.DECODE
    assert stream.cached_positions > 0, "the start should be shared, or the test is too easy"
    _poison(engine, [stream.pages[(stream.prompt_positions + 5) // engine._scheduler.pool.page_size]])
    stage.drain()
    assert stage.ended["b"].reason == "failed"
    assert "finite" in stage.ended["b"].error
    for request in (requests[0], *requests[2:]):
        _assert_as_alone(stage, request, solo(request))
    stage.assert_idle()
    assert torch.isfinite(engine._runner._keys).all(), "what was poisoned is wiped"
    assert own
    # the freed pages serve again, and the request itself now succeeds
    stage.speak(*requests)
    for request in requests:
        _assert_as_alone(stage, request, solo(request))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_logit_is_enough_to_fail_and_no_id_of_that_row_is_used(stage: Stage, bad: float) -> None:
    engine = stage.engine
    backbone = engine._runner.model
    healthy: Callable[[torch.Tensor], torch.Tensor] = backbone.logits
    requests = [Speak(n, f"{_TEXT} {n}", SMART, sampling=GREEDY, max_frames=20) for n in "abc"]
    for request in requests:
        stage.submit(request)
    for _ in range(12):
        stage.step()
    rows = {n: len(engine._utterances[n].rows) for n in "abc"}
    order = engine._scheduler.plan(stage.now).decode

    def logits(x: torch.Tensor) -> torch.Tensor:
        out = healthy(x).clone()
        out[order.index("b"), 3, 17] = bad
        return out

    backbone.logits = logits  # type: ignore[method-assign]
    stage.step()
    del backbone.logits
    stage.drain()
    assert {n: stage.ended[n].reason for n in "abc"}["b"] == "failed"
    assert len(stage.rows["b"]) == rows["b"]
    assert all(stage.ended[n].reason in ("stop", "length") for n in "ac")
    stage.assert_idle()


def test_a_broken_shared_start_is_not_found_again(stage: Stage) -> None:
    engine = stage.engine
    healthy = Speak("healthy", _TEXT, SMART, sampling=GREEDY, max_frames=20)
    stage.speak(healthy)
    want = stage.rows["healthy"]
    for name in "ab":
        stage.submit(Speak(name, _TEXT, SMART, sampling=GREEDY, max_frames=20))
    for _ in range(4):
        stage.step()
    shared = engine._utterances["a"].stream.pages[0]
    assert engine._utterances["b"].stream.pages[0] == shared
    _poison(engine, [shared])
    stage.drain()
    assert {stage.ended[name].reason for name in "ab"} == {"failed"}
    stage.speak(healthy)
    assert stage.ended["healthy"].reason != "failed"
    assert_same_rows(stage.rows["healthy"], want, "after the failure")
    assert torch.isfinite(engine._runner._keys).all()
    stage.assert_idle()


def _without_markers(engine: Engine) -> None:
    """The model never draws a stream marker by itself."""
    backbone = engine._runner.model
    healthy: Callable[[torch.Tensor], torch.Tensor] = backbone.logits

    def logits(x: torch.Tensor) -> torch.Tensor:
        out = healthy(x).clone()
        out[..., 1024:] = -1e9
        return out

    backbone.logits = logits  # type: ignore[method-assign]


def test_a_model_that_never_ends_is_ended_at_the_cap_of_its_text(stage: Stage) -> None:
    _without_markers(stage.engine)
    texts = {"a": "Yes.", "b": _TEXT, "c": "12", "d": "Good morning!"}
    requests = [Speak(name, text, SMART, seed=3) for name, text in texts.items()]
    stage.speak(*requests, Speak("e", _TEXT, SMART, max_frames=7))
    for name, text in texts.items():
        assert stage.ended[name].reason == "length"
        assert stage.ended[name].frames == frame_cap(text, 25.0)
        assert len(stage.pcm(name)) == stage.ended[name].frames * 960
    assert (stage.ended["e"].reason, stage.ended["e"].frames) == ("length", 7)
    stage.assert_idle()


def test_what_was_cut_off_is_not_remembered_as_spoken(stage: Stage) -> None:
    _without_markers(stage.engine)
    stage.speak(Speak("a", "Yes.", SMART, context_id="call"))
    assert stage.engine.gauges().contexts == 0


def test_a_voice_too_many_is_refused_at_once_and_takes_nothing(stage: Stage) -> None:
    requests = [
        Speak(f"{number}", f"{_TEXT} {number}", SMART, sampling=GREEDY, max_frames=9) for number in range(SLOTS)
    ]
    for request in requests:
        stage.submit(request)
    held = stage.engine.gauges().pages_held
    stage.submit(Speak("late", _TEXT, SMART))
    assert stage.engine.gauges().pages_held == held
    stage.step()
    assert stage.ended["late"].reason == "overloaded"
    stage.drain()
    assert all(stage.ended[request.request_id].reason in ("stop", "length") for request in requests)
    stage.assert_idle()


def test_without_pages_for_the_worst_case_a_request_is_refused(tiny_checkpoint: Path) -> None:
    engine, info = load(tiny_checkpoint, slots=8, kv_positions=256)
    stage = Stage(engine)
    stage.submit(Speak("fits", "Yes.", SMART, max_frames=60))
    held = engine.gauges().pages_held
    stage.submit(Speak("does not", _TEXT, SMART, max_frames=60))
    assert engine.gauges().pages_held == held < info.pages
    stage.drain()
    assert stage.ended["fits"].reason in ("stop", "length")
    assert stage.ended["does not"].reason == "overloaded"
    stage.speak(Speak("later", "Yes.", SMART, max_frames=60))
    assert stage.ended["later"].reason in ("stop", "length")
    engine.close()


_INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"text": " \n "}, "text"),
    "nothing to say": ({"text": "?!…"}, "text"),
    "a control marker": ({"text": "Hello <|eot_id|> there"}, "text"),
    "a control marker in the scene": ({"voicing": Voicing(scene="<|audio_out_bos|>")}, "messages[1]"),
    "a text longer than the model": ({"text": "word " * 400}, "text"),
    "an unknown voice": ({"voicing": cloned(RegisteredClip("nobody"))}, "voice"),
    "half a sample": ({"voicing": cloned(Clip(b"abc"))}, "audio"),
    "an empty clip": ({"voicing": cloned(Clip(b""))}, "audio"),
    "a clip of 31 seconds": ({"voicing": cloned(Clip(bytes(2 * 24000 * 31)))}, "audio"),
}


@pytest.mark.parametrize("case", _INVALID)
def test_a_request_that_cannot_be_served_says_why_and_leaves_no_trace(stage: Stage, case: str) -> None:
    changed, field = _INVALID[case]
    stage.speak(Speak(**{"request_id": "a", "text": _TEXT, "voicing": SMART, **changed}))
    ended = stage.ended["a"]
    assert (ended.reason, ended.field) == ("invalid", field)
    assert ended.error.endswith(".")
    stage.assert_idle()
    stage.speak(Speak("a", _TEXT, SMART, max_frames=4))
    assert stage.ended["a"].reason in ("stop", "length")


def test_text_that_is_markup_alone_is_over_at_once_and_makes_no_sound(tiny_checkpoint: Path) -> None:
    engine, _ = load(tiny_checkpoint, normalise, slots=2)
    stage = Stage(engine)
    for request_id, text in (("close", "</speak>"), ("space", "[SPEAKER0] &nbsp;")):
        stage.speak(Speak(request_id, text, SMART, context_id="talk", more=True))
        ended = stage.ended[request_id]
        assert (ended.reason, ended.frames, ended.error) == ("stop", 0, "")
    stage.speak(Speak("words", "<speak>Yes.</speak>", SMART, context_id="talk", max_frames=4))
    assert stage.ended["words"].frames > 0
    stage.assert_idle()
    engine.close()


def test_no_control_marker_comes_out_of_the_front_end(tiny_checkpoint: Path) -> None:
    engine, _ = load(tiny_checkpoint, lambda text: text.replace("\u200b", ""), slots=2)
    stage = Stage(engine)
    stage.speak(Speak("a", "Hello <|eot\u200b_id|> there", SMART, max_frames=4))
    assert (stage.ended["a"].reason, stage.ended["a"].field) == ("invalid", "text")
    engine.close()


def test_a_clip_shorter_than_a_frame_is_refused_as_the_requests_fault(stage: Stage) -> None:
    stage.speak(Speak("a", _TEXT, cloned(Clip(bytes(2 * 100))), max_frames=4))
    assert (stage.ended["a"].reason, stage.ended["a"].field) == ("invalid", "audio")
    stage.assert_idle()


def test_an_id_that_is_already_running_is_refused_and_the_first_goes_on(stage: Stage) -> None:
    first = Speak("a", _TEXT, SMART, sampling=GREEDY, max_frames=10)
    stage.submit(first)
    stage.step()
    stage.engine.submit(first, stage.now)
    refusals = [event for event in stage.engine.step(stage.now).events if isinstance(event, Ended)]
    assert [event.reason for event in refusals] == ["invalid"]
    assert refusals[0].field == "request_id"
    stage.drain()
    assert stage.ended["a"].reason in ("stop", "length")


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.9, top_k=40)])
def test_a_clause_after_cached_clauses_is_what_a_fresh_engine_says(tiny_checkpoint: Path, sampling: Sampling) -> None:
    engine, _ = load(tiny_checkpoint, decoder="exact")
    stage = Stage(engine)
    past: list[Spoken] = []
    for number in range(4):
        text = f"{_TEXT} Clause {number}."
        request = Speak(f"clause {number}", text, SMART, context_id="call", sampling=sampling, seed=9 + number)
        stage.speak(request)
        fresh_engine, _ = load(tiny_checkpoint, decoder="exact")
        fresh = Stage(fresh_engine)
        for spoken in past:
            fresh_engine._contexts.add("call", spoken)
        fresh.speak(request)
        name = request.request_id
        assert fresh.ended[name].cached_positions == 0
        assert stage.ended[name].prompt_positions == fresh.ended[name].prompt_positions
        assert bool(stage.ended[name].cached_positions) == bool(number)
        assert_same_rows(stage.rows[name], fresh.rows[name], name)
        assert np.abs(stage.pcm(name).astype(int) - fresh.pcm(name).astype(int)).max() <= 1
        if stage.ended[name].reason == "stop":
            past.append(Spoken(text, np.vstack((np.full((1, 8), 1024), stage.rows[name]))))
        fresh_engine.close()
    assert past, "no clause was remembered: choose another seed"
    engine.close()


def test_a_dropped_context_is_forgotten(stage: Stage) -> None:
    stage.engine._contexts.add("call", Spoken("before", np.full((12, 8), 1025)))
    positions = []
    for _ in range(2):
        stage.speak(Speak("a", _TEXT, SMART, context_id="call", max_frames=4))
        positions.append(stage.ended["a"].prompt_positions)
        apply(stage.engine, DropContext("call"), stage.now)
    assert positions[1] < positions[0]
    assert stage.engine.gauges().contexts == 0


def test_a_past_that_does_not_fit_loses_its_older_half(stage: Stage) -> None:
    for number in range(3):
        stage.engine._contexts.add("call", Spoken(f"clause {number}", np.full((110, 8), 1025)))
    assert len(stage.engine._contexts.past("call")) == 3
    stage.submit(Speak("a", _TEXT * 15, SMART, context_id="call", max_frames=4))
    assert [spoken.text for spoken in stage.engine._contexts.past("call")] == ["clause 2"]
    stage.drain()
    assert stage.ended["a"].reason in ("stop", "length")
    assert 800 < stage.ended["a"].prompt_positions < 1024


def test_contexts_are_bounded_in_number_in_utterances_and_in_rows() -> None:
    contexts = Contexts(max_contexts=3, max_utterances=4, max_rows=100)
    for number in range(50):
        for name in ("a", "b", "c", "d")[: number % 4 + 1]:
            contexts.add(name, Spoken(f"{number}", np.zeros((number % 30 + 1, 8))))
            assert len(contexts) <= 3
            past = contexts.past(name)
            assert past[-1].text == f"{number}"
            assert len(past) <= 4
            assert sum(len(spoken.rows) for spoken in past) <= 100
    contexts.drop("a")
    contexts.drop("a")
    assert contexts.past("a") == []
    assert contexts.past("") == []


def test_the_least_recently_used_context_goes_first() -> None:
    contexts = Contexts(max_contexts=2, max_utterances=4, max_rows=100)
    for name in ("a", "b", "a", "c"):
        contexts.add(name, Spoken(name, np.zeros((1, 8))))
    assert contexts.past("b") == []
    assert len(contexts.past("a")) == 2


def test_an_utterance_longer_than_the_bound_is_not_kept() -> None:
    contexts = Contexts(max_contexts=2, max_utterances=4, max_rows=100)
    contexts.add("a", Spoken("long", np.zeros((101, 8))))
    assert contexts.past("a") == []


def test_padding_can_run_for_ever(tiny_checkpoint: Path) -> None:
    """The spare slot is stepped with every padded batch: it must not walk off its page table."""
    engine, _ = load(tiny_checkpoint, slots=2)
    runner = engine._runner
    with torch.inference_mode():
        for _ in range(runner.state.table.shape[1] * runner.page_size + 5):
            runner._step(torch.tensor([runner.pad_slot]), 1, runner._variant([0]))
    assert torch.isfinite(runner._keys).all()
    stage = Stage(engine)
    stage.speak(Speak("a", _TEXT, SMART, max_frames=4))
    assert stage.ended["a"].reason in ("stop", "length")
    engine.close()


def test_a_scene_may_mix_words_and_clips(stage: Stage) -> None:
    speakers = [Speaker("SPEAKER0", clip=clip(1)), Speaker("SPEAKER1", clip=clip(2))]
    stage.speak(Speak("a", f"[SPEAKER0] {_TEXT}", Voicing(speakers=speakers), max_frames=4))
    assert stage.ended["a"].reason in ("stop", "length")
