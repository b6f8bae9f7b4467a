"""Scope: how soon the first packet comes, counted in steps: the one that prefills, and seven more."""

from collections.abc import Callable
from pathlib import Path

from realtime.engine.scheduler import Phase
from realtime.request import Speak
from tests.engine.harness import GREEDY, SMART, Stage, load

STEPS_AFTER_PREFILL = 7
"""Row 1 is drawn in the step that ends the prefill; frame 0 is complete with row 8."""

_TEXT = "Good evening, this is the harbour office speaking."


def _until_heard(stage: Stage, request_id: str) -> tuple[int, int]:
    """Steps from now to the end of a request's prefill, and from there to its first audio."""
    begin = stage.steps
    prefilled = None
    while request_id not in stage.first_audio_step:
        stage.step()
        utterance = stage.engine._utterances.get(request_id)
        if prefilled is None and utterance is not None and utterance.stream.phase is Phase.DECODE:
            prefilled = stage.steps
        assert stage.steps - begin < 60, "no audio"
    assert prefilled is not None
    return prefilled - begin, stage.first_audio_step[request_id] - prefilled


def test_alone_the_first_audio_comes_seven_steps_after_the_prefill(
    noise_checkpoint: Callable[[int], Path],
) -> None:
    engine, _ = load(noise_checkpoint(11), prefill_positions=256)
    stage = Stage(engine)
    stage.submit(Speak("a", _TEXT, SMART, sampling=GREEDY))
    assert _until_heard(stage, "a") == (1, STEPS_AFTER_PREFILL)
    assert len(stage.pcm("a")) == 960, "the first packet is one frame"
    engine.close()


def test_a_long_prompt_takes_a_step_per_chunk_and_seven_more(noise_checkpoint: Callable[[int], Path]) -> None:
    engine, _ = load(noise_checkpoint(11), prefill_positions=64)
    stage = Stage(engine)
    stage.submit(Speak("a", _TEXT * 5, SMART, sampling=GREEDY))
    positions = engine._utterances["a"].stream.prompt_positions
    assert positions > 256
    assert _until_heard(stage, "a") == (-(-positions // 64), STEPS_AFTER_PREFILL)
    engine.close()


def test_seven_speakers_and_a_long_prefill_do_not_delay_it(noise_checkpoint: Callable[[int], Path]) -> None:
    engine, _ = load(noise_checkpoint(12), slots=9, prefill_positions=48, kv_positions=9 * 2048)
    stage = Stage(engine, step_s=0.04)
    speaking = [f"speaker {number}" for number in range(7)]
    for name in speaking:
        stage.submit(Speak(name, _TEXT * 2, SMART, seed=len(name)))
    while not all(name in stage.first_audio_step for name in speaking):
        stage.step()
    stage.submit(Speak("long", _TEXT * 14, SMART, sampling=GREEDY, lead_s=3.0))
    stage.step()
    assert engine._utterances["long"].stream.phase is Phase.PREFILL
    stage.submit(Speak("new", _TEXT, SMART, sampling=GREEDY))
    _, after_prefill = _until_heard(stage, "new")
    assert after_prefill == STEPS_AFTER_PREFILL
    assert engine.gauges().requests == 9, "somebody had already gone"
    assert engine._utterances["long"].stream.phase is Phase.PREFILL, "the long prompt was done too soon to matter"
    engine.close()


def test_a_new_stream_prefills_before_one_whose_listener_has_audio_left(
    noise_checkpoint: Callable[[int], Path],
) -> None:
    engine, _ = load(noise_checkpoint(12), prefill_positions=64)
    stage = Stage(engine)
    stage.submit(Speak("fed", _TEXT * 9, SMART, sampling=GREEDY, lead_s=3.0))
    stage.step()
    stage.submit(Speak("new", _TEXT, SMART, sampling=GREEDY))
    positions = engine._utterances["new"].stream.prompt_positions
    cached = engine._utterances["new"].stream.cached_positions
    assert _until_heard(stage, "new") == (-(-(positions - cached) // 64), STEPS_AFTER_PREFILL)
    engine.close()


def test_prompts_that_begin_alike_and_come_together_are_prefilled_once(noise_checkpoint: Callable[[int], Path]) -> None:
    engine, _ = load(noise_checkpoint(12), prefill_positions=256)
    stage = Stage(engine)
    names = [f"caller {number}" for number in range(6)]
    for name in names:
        stage.submit(Speak(name, f"{name} says something.", SMART, sampling=GREEDY))
    stage.drain()
    cached = [stage.ended[name].cached_positions for name in names]
    prompt = stage.ended[names[0]].prompt_positions
    assert cached.count(0) == 1, "one of them fills the pages"
    assert min(count for count in cached if count) >= prompt // 2, "and the others take them"
    assert engine.gauges().pages_held == 0
    engine.close()
