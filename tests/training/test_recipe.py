"""Scope: the whole recipe in a tiny setting, each stage checked for what it must leave behind. Needs Debian's flite."""

import json
from pathlib import Path

import numpy as np
import pytest

from realtime.text import to_phonemes
from training.flite import Flite
from training.pocket import TINY, run
from training.speech import FRAME_S, VOICES, synthesise


@pytest.fixture(scope="module")
def flite() -> Flite:
    return Flite()


def test_voices_are_frame_parallel_and_locked_to_the_frames(flite: Flite) -> None:
    clips = [synthesise(flite, "Good morning, how are you?", voice) for voice in VOICES]
    assert len({len(clip.samples) for clip in clips}) == 1
    assert len({tuple(clip.symbols) for clip in clips}) == 1
    assert all(float(voice.f0_hz * FRAME_S).is_integer() for voice in VOICES)
    assert all(abs(clip.samples.mean()) < 1e-3 for clip in clips)


@pytest.mark.parametrize(
    "text", ["The book is on the table.", "I would like a cup of coffee, please.", "Do you want to go to the park?"]
)
def test_the_front_end_writes_what_the_synthesiser_said(flite: Flite, text: str) -> None:
    assert "".join(synthesise(flite, text, VOICES[0]).symbols) == to_phonemes(text)


def test_every_stage_leaves_what_the_next_one_needs(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "pocket"
    run(work, folder, TINY)
    speech = np.load(work / "speech.npz")
    assert speech["codes"].shape == (speech["frame_starts"][-1], 7)
    assert len(speech["frame_starts"]) - 1 == TINY.clips == len((work / "texts.txt").read_text().splitlines())
    for log in ("decoder.log", "encoder.log", "language.log"):
        for line in (work / log).read_text().splitlines():
            assert all(np.isfinite(value) for value in json.loads(line).values())
    table = json.loads((work / "evaluation.json").read_text())
    assert [row["kind"] for row in table] == ["everyday", "digits", "prose"]
    assert float(table[0]["WER source"]) < 0.6
    assert (work / "spectrograms" / "sam_everyday_0.png").read_bytes().startswith(b"\x89PNG")
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 40e6
    made = (folder / "model.safetensors").stat().st_mtime_ns
    run(work, folder, TINY)  # again: everything is there, so only the ends are made anew
    assert (work / "speech.npz").stat().st_mtime_ns < made
