"""Scope: the engine's greedy rows are those of transformers' `generate`, float32 on the CPU, prompt for prompt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from realtime.engine.models.higgs_v2.prompting import messages
from realtime.request import Sampling, Speak, Speaker, Voicing
from tests.engine.harness import GREEDY, SMART, Stage, assert_same_rows, clip, cloned, load
from tests.engine.reference import Past, Reference

SEEDS = (11, 12, 13)
MAX_FRAMES = 142
MAX_ROWS = MAX_FRAMES + 8

_SCENE = "Audio is recorded from a quiet room with a very soft echo."
_DUEL = "[SPEAKER0] Have you seen the tide tonight?\n[SPEAKER1] I have, and it is coming in fast."
_LONG = "The keeper of the light climbed all of the steps again, counting them under her breath as she always did. " * 4

PROMPTS: dict[str, tuple[Voicing, str]] = {
    "plain": (SMART, "The sun rises in the east and sets in the west."),
    "a system message of its own": (
        Voicing(system="Read it out."),
        "Numbers like 42 and 1999 are read out in full here.",
    ),
    "other scripts": (SMART, "Grüße aus Köln; 東京の空は今日も青い, s'il vous plaît!"),
    "scene": (Voicing(scene=_SCENE), "It was the night before my birthday. Hooray!"),
    "two speakers": (
        Voicing(scene=_SCENE, speakers=[Speaker("SPEAKER0", "feminine"), Speaker("SPEAKER1", "masculine")]),
        _DUEL,
    ),
    "cloned voice": (cloned(clip(1)), "And this is what I would like to say now."),
    "cloned voice with scene": (cloned(clip(2, 1.3), scene=_SCENE), "And this is what I would like to say now."),
    "two cloned voices": (
        Voicing(scene=_SCENE, speakers=[Speaker("SPEAKER0", clip=clip(3)), Speaker("SPEAKER1", clip=clip(4, 0.9))]),
        _DUEL,
    ),
    "long text": (Voicing(scene=_SCENE), _LONG),
    "long and cloned": (cloned(clip(5, 4.0), _LONG[:150]), _LONG[:200]),
}
CLAUSES = (
    "First of all the ferry has to leave the harbour.",
    "Then it crosses the strait, which takes an hour.",
    "And in the evening it comes back with the fishermen.",
)


@dataclass
class Answers:
    """The reference's rows of one checkpoint, and its prompts."""

    rows: dict[str, np.ndarray] = field(default_factory=dict)
    tokens: dict[str, np.ndarray] = field(default_factory=dict)


@pytest.fixture(scope="module")
def reference(noise_checkpoint: Callable[[int], Path]) -> Callable[[int], Reference]:
    made: dict[int, Reference] = {}
    return lambda seed: made.get(seed) or made.setdefault(seed, Reference(noise_checkpoint(seed)))


@pytest.fixture(scope="module")
def answers(reference: Callable[[int], Reference]) -> Callable[[int], Answers]:
    made: dict[int, Answers] = {}

    def answer(seed: int) -> Answers:
        if seed not in made:
            made[seed] = Answers()
            for name, (voicing, text) in PROMPTS.items():
                inputs = reference(seed).inputs(messages(voicing, text), text)
                made[seed].tokens[name] = reference(seed).tokens(inputs)
                made[seed].rows[name] = reference(seed).greedy(inputs, MAX_ROWS)
        return made[seed]

    return answer


def _speak(name: str, **more: object) -> Speak:
    voicing, text = PROMPTS[name]
    return Speak(name, text, voicing, sampling=GREEDY, max_frames=MAX_FRAMES, paced=False, **more)  # type: ignore[arg-type]


def test_prompts_are_those_of_the_processor(
    noise_checkpoint: Callable[[int], Path], answers: Callable[[int], Answers]
) -> None:
    engine, _ = load(noise_checkpoint(SEEDS[0]))
    for name, (voicing, text) in PROMPTS.items():
        for future in engine.clips.start(voicing.clips):
            future.result()
        tokens = engine._prompts.prompt(voicing, [], text, engine.clips.rows)
        assert np.array_equal(tokens, answers(SEEDS[0]).tokens[name]), name
    engine.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_of_a_request_alone_are_those_of_generate(
    seed: int, noise_checkpoint: Callable[[int], Path], answers: Callable[[int], Answers]
) -> None:
    engine, _ = load(noise_checkpoint(seed), slots=2, prefill_positions=100)
    stage = Stage(engine)
    for name in PROMPTS:
        stage.speak(_speak(name))
        want = answers(seed).rows[name]
        assert_same_rows(stage.rows[name], want, f"{name}, checkpoint {seed}")
        assert stage.ended[name].reason == ("stop" if (want[-1] == 1025).all() else "length")
    engine.close()


def test_the_reference_runs_are_long_short_and_all_different(answers: Callable[[int], Answers]) -> None:
    everything = [answers(seed).rows[name] for seed in SEEDS for name in PROMPTS]
    lengths = [len(rows) for rows in everything]
    assert len(everything) >= 24
    assert max(lengths) == MAX_ROWS, "no run reaches the cap"
    assert min(lengths) < MAX_ROWS, "no run ends by itself"
    assert len({rows.tobytes() for rows in everything}) == len(everything), "some prompts give the same rows"
    assert max(len(answers(SEEDS[0]).tokens[name]) for name in PROMPTS) > 256


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_among_others_that_come_and_go_are_those_of_generate(
    seed: int, noise_checkpoint: Callable[[int], Path], answers: Callable[[int], Answers]
) -> None:
    random = np.random.default_rng(seed)
    engine, _ = load(noise_checkpoint(seed), slots=16, prefill_positions=64)
    stage = Stage(engine)
    arrivals = sorted((int(random.integers(0, 150)), name) for name in PROMPTS)
    bystanders: dict[str, int] = {}  # request -> the step it is cancelled at
    number = 0
    while arrivals or engine.wake_at(stage.now) is not None:
        while arrivals and arrivals[0][0] <= stage.steps:
            stage.submit(_speak(arrivals.pop(0)[1]))
        if arrivals and random.random() < 0.2 and engine.gauges().slots < 6:
            number += 1
            name = f"bystander {number}"
            sampling = [GREEDY, Sampling(top_k=20), Sampling(top_k=0, top_p=0.9)][number % 3]
            stage.submit(
                Speak(name, f"Number {number} is only here to be cut off.", SMART, sampling=sampling, seed=number)
            )
            bystanders[name] = stage.steps + int(random.integers(0, 60))
        for name, step in bystanders.items():
            if step == stage.steps:
                engine.cancel(name)
        stage.step()
        if engine._waiting:
            time.sleep(0.005)
        assert stage.steps < 4000
    assert len(bystanders) > 5
    assert {stage.ended[name].reason for name in bystanders} & {"cancelled"}
    for name in PROMPTS:
        assert_same_rows(stage.rows[name], answers(seed).rows[name], f"{name}, checkpoint {seed}")
    stage.assert_idle()
    engine.close()


@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("voice", ["smart", "cloned"])
def test_a_clause_goes_on_from_the_clauses_before_it_as_generate_would(
    seed: int, voice: str, noise_checkpoint: Callable[[int], Path], reference: Callable[[int], Reference]
) -> None:
    voicing = PROMPTS["cloned voice"][0] if voice == "cloned" else SMART
    engine, _ = load(noise_checkpoint(seed), slots=2)
    stage = Stage(engine)
    past: list[Past] = []
    for number, text in enumerate(CLAUSES):
        # uncapped, so that a clause ends by itself and is remembered
        request = Speak(f"clause {number}", text, voicing, context_id="call", sampling=GREEDY, paced=False)
        stage.speak(request)
        inputs = reference(seed).inputs(messages(voicing, text), text, tuple(past))
        ended = stage.ended[request.request_id]
        assert ended.prompt_positions == inputs["input_ids"].shape[1]
        rows = stage.rows[request.request_id]
        assert_same_rows(rows, reference(seed).greedy(inputs, len(rows)), f"clause {number}, checkpoint {seed}")
        if ended.reason == "stop":
            past.append(Past(text, np.vstack((np.full((1, 8), 1024), rows))))
        if number and past:
            assert ended.cached_positions > 0
    assert past, "no clause ended by itself: choose other seeds"
    engine.close()
