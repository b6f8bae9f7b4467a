"""Scope: recordings on disk, in the layout of the Higgs repositories and from ms-swift's JSONL."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.speech import HOP, Clip, read_folder, write_folder, write_wav
from training.swift import clips, pairs


def test_a_folder_reads_back(tmp_path: Path) -> None:
    wave = np.sin(np.arange(3 * HOP) / 20).astype(np.float32) * 0.5
    assert write_folder(tmp_path / "set", [Clip("Hello.", "ann", wave), Clip("Bye.", "bob", wave[:HOP])]) == 2
    back = list(read_folder(tmp_path / "set"))
    assert [(clip.text, clip.speaker, len(clip.samples)) for clip in back] == [
        ("Hello.", "ann", 3 * HOP),
        ("Bye.", "bob", HOP),
    ]
    np.testing.assert_allclose(back[0].samples, wave, atol=1e-4)
    entry = json.loads((tmp_path / "set" / "metadata.json").read_text())["samples"][0]
    assert (entry["duration"], entry["language"], entry["speaker_id"], entry["audio_file"]) == (
        0.12,
        "en",
        "ann",
        "ann_000000.wav",
    )


def test_speech_synthesis_and_recognition_lines_give_the_same_pair() -> None:
    spoken = {
        "messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "<audio>"}],
        "audios": ["a.wav"],
    }
    written = {
        "messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "Hello."}],
        "audios": ["a.wav"],
    }
    assert list(pairs(spoken)) == list(pairs(written)) == [("Hello.", "a.wav", "speaker")]


@pytest.mark.parametrize("audios", [[], ["a.wav", "b.wav"]])
def test_marks_without_files_are_an_error(audios: list[str]) -> None:
    line = {
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "<audio>"}],
        "audios": audios,
    }
    with pytest.raises(ValueError, match="audio"):
        list(pairs(line))


def test_a_jsonl_file_becomes_clips(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(1500, np.float32))
    line = {
        "messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "<audio>"}],
        "audios": ["a.wav"],
    }
    (tmp_path / "data.jsonl").write_text(json.dumps(line) + "\n\n{}\n")
    found = clips(tmp_path / "data.jsonl")
    first = next(found)
    assert (first.text, len(first.samples)) == ("Hi.", 2 * HOP)
    with pytest.raises(ValueError, match="line 3"):
        next(found)
