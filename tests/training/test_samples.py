"""Scope: what the language model is trained on is what the service asks of it."""

from pathlib import Path

import numpy as np
import pytest

from realtime.engine.models.higgs_v2.checkpoint import open_checkpoint
from realtime.engine.models.higgs_v2.prompter import Prompter
from realtime.request import Speaker, Voicing
from tests.training.conftest import NAMES
from training import prompt
from training.batches import Sample, Sampler, delayed, following, load_corpus
from training.higgs import IGNORE

BOS, EOS = 256, 257


def test_delayed_rows_start_and_end_as_the_model_does() -> None:
    codes = np.arange(3 * 8).reshape(3, 8)
    rows = delayed(codes, BOS, EOS)
    assert rows.shape == (3 + 1 + 8, 8)
    assert (rows[0] == BOS).all() and (rows[-1] == EOS).all()
    for book in range(8):
        assert rows[book + 1 : book + 4, book].tolist() == codes[:, book].tolist()


def test_forced_ids_are_not_learned_but_the_first_end_is() -> None:
    rows = delayed(np.zeros((2, 8), int), BOS, EOS)
    labels = following(rows, BOS, EOS)
    assert not (labels == BOS).any()
    assert ((labels == EOS).sum(0) == 1).all()
    assert (labels[-1] == IGNORE).all()


@pytest.fixture(scope="module")
def sampler(work: Path) -> Sampler:
    tokenizer = prompt.build_tokenizer(NAMES)
    return Sampler(load_corpus(work, tokenizer), tokenizer, NAMES, 258, 0, 400, range(30))


def test_the_guide_points_from_each_frame_to_a_phone_of_its_turn(sampler: Sampler) -> None:
    for _ in range(40):
        sample = sampler.sample()
        text = np.full(sample.length, -1)
        at = 0
        for kind, run in sample.runs:
            if kind == "text":
                text[at : at + len(run)] = run
            at += len(run)
        symbols = set(load_symbols(sampler))
        assert sample.guide
        assert all(text[row] == -1 and int(text[source]) in symbols for row, source in sample.guide)


def load_symbols(sampler: Sampler) -> list[int]:
    return sampler._corpus.symbols.tolist()


def spoken(sample: Sample) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and labels of each audio part."""
    rows = [run for kind, run in sample.runs if kind == "audio"]
    return list(zip(rows, sample.labels, strict=True))


def voices_in(codes: np.ndarray) -> set[int]:
    return set(codes[:, -1].tolist()) - {BOS, EOS, IGNORE}


def test_a_voice_that_only_a_clip_gives_is_learned_from_the_turn_behind_it(sampler: Sampler) -> None:
    """The clip's own codes are those of an encoder that is not sure: they are heard and not learned. In some of the
    turns behind it no row shows the voice, so that all of them have to find it there."""
    shown = hidden = 0
    for _ in range(400):
        turns = spoken(sampler.sample())
        heard = [rows for rows, labels in turns if (labels == IGNORE).all()]
        learned = [(rows, labels) for rows, labels in turns if (labels != IGNORE).any()]
        if not learned or len(heard) != 1 or turns[0][0] is not heard[0]:
            continue
        rows, labels = learned[0]
        if len(voices_in(labels)) != 1:  # two speakers in one turn
            continue
        assert voices_in(heard[0]) == voices_in(labels) and voices_in(rows) <= voices_in(labels)
        shown += bool(voices_in(rows))
        hidden += not voices_in(rows)
    assert shown > 5 and hidden > 5


def test_a_cast_of_clips_stands_in_the_scene(sampler: Sampler) -> None:
    tokenizer = prompt.build_tokenizer(NAMES)
    tag, opens = (tokenizer.token_to_id(token) for token in ("SPEAKER0:", prompt.AUDIO_BOS))
    found = 0
    for _ in range(300):
        runs = sampler.sample().runs
        if tag not in runs[0][1] or runs[0][1][-1] != opens or tokenizer.token_to_id("user") in runs[0][1]:
            continue
        found += 1
        line = tokenizer.encode(f"SPEAKER0:\n{prompt.AUDIO_BOS}", add_special_tokens=False).ids
        assert runs[0][1][-len(line) :].tolist() == line
        assert runs[1][0] == "audio" and runs[2][1][0] == tokenizer.token_to_id(prompt.AUDIO_EOS)
    assert found > 3


def test_the_served_prompt_is_the_trained_one(exported: Path) -> None:
    """Token for token: the session's instruction and scene, through the checkpoint's template."""
    checkpoint = open_checkpoint(str(exported))
    prompter = Prompter(checkpoint, str)
    tokenizer = prompt.build_tokenizer(NAMES)
    line = next(voice["scene"] for voice in checkpoint.manifest.voices if voice["name"] == "ada")
    dialogue = Voicing(speakers=[Speaker("SPEAKER0", line), Speaker("SPEAKER1", "otto")])
    for voicing, system, scene in (
        (Voicing(voice=line), prompt.SYSTEM, [prompt.ROOM, line]),
        (dialogue, prompt.SEVERAL, [prompt.ROOM, f"SPEAKER0: {line}", "SPEAKER1: otto"]),
    ):
        tokens = prompter.prompt(voicing, [], "həlˈO.", lambda part: np.zeros((0, 8)))
        trained = prompt.opening("\n".join(scene), system) + prompt.user_turn("həlˈO.") + prompt.ASSISTANT
        assert tokens[:, 0].tolist() == tokenizer.encode(trained, add_special_tokens=False).ids
        assert len(tokens) < 40
