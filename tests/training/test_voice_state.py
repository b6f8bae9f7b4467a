"""Scope: what the voice's recipe keeps beside the code, and what it does with it in an empty work folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.voice import shortcut, state
from training.voice.gate import MOST
from training.voice.rows import ROW


@pytest.fixture
def work(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    folder = tmp_path / "work"
    folder.mkdir()
    np.savez(folder / "shortcut.npz", speakers=np.array(["a", "b"]), weight=draw.normal(size=(3, 4)).astype(np.float16))
    np.savez(
        folder / "quantizer.npz", mean=draw.normal(size=8).astype(np.float32), basis=np.eye(8, 4, dtype=np.float32).T.T
    )
    (folder / "gate.json").write_text(json.dumps({"codes": MOST}))
    return folder


def test_what_is_kept_comes_back_into_an_empty_work_folder(work: Path, tmp_path: Path) -> None:
    state.keep(work, "a minute of speech", tmp_path / "state")
    empty = tmp_path / "empty"
    empty.mkdir()
    state.take(empty, tmp_path / "state")
    for name in state.MADE_BY:
        kept, back = dict(np.load(work / f"{name}.npz")), dict(np.load(empty / f"{name}.npz"))
        assert kept.keys() == back.keys()
        assert all(kept[key].dtype == back[key].dtype and (kept[key] == back[key]).all() for key in kept)
    manifest = json.loads((tmp_path / "state" / "manifest.json").read_text())
    assert manifest["parts"]["shortcut"]["corpus"] == "a minute of speech"
    assert manifest["gate"] == {"codes": MOST}


def test_what_a_work_folder_has_learned_itself_is_not_replaced(work: Path, tmp_path: Path) -> None:
    state.keep(work, "", tmp_path / "state")
    np.savez(work / "quantizer.npz", mean=np.zeros(8))
    state.take(work, tmp_path / "state")
    assert list(np.load(work / "quantizer.npz")) == ["mean"]


def test_nothing_is_kept_before_the_gate_holds(work: Path, tmp_path: Path) -> None:
    (work / "gate.json").write_text(json.dumps({"codes": 2 * MOST}))
    with pytest.raises(ValueError, match="the codes lose words"):
        state.keep(work, "", tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_kept_file_that_was_changed_is_refused(work: Path, tmp_path: Path) -> None:
    state.keep(work, "", tmp_path / "state")
    file = tmp_path / "state" / "shortcut.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    (work / "shortcut.npz").unlink()
    with pytest.raises(ValueError, match=r"shortcut\.safetensors is not the one of its manifest"):
        state.take(work, tmp_path / "state")


def test_the_shortcut_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcut, "SAVED_EVERY", 2)
    draw = np.random.default_rng(0)
    (tmp_path / "shortcut").mkdir()
    for number in range(1, 3):
        states, rows = draw.normal(size=(shortcut.HIDDEN + 2, 80)), draw.normal(size=(80, ROW))
        arrays = {"states": states.astype(np.float16), "rows": rows.astype(np.float32)}
        np.savez(tmp_path / "shortcut" / f"a_{number:04d}.npz", **arrays)
    shortcut.train(tmp_path, steps=2)
    shortcut.train(tmp_path, steps=4)
    logged = [json.loads(line)["step"] for line in (tmp_path / "shortcut.log").read_text().splitlines()]
    assert logged == [2, 4]
    held = torch.load(tmp_path / "shortcut.pt", weights_only=True)
    assert held["step"] == 4 and held["optimiser"]["state"][0]["step"] == 4


def test_a_shortcut_that_is_there_needs_no_teacher(work: Path) -> None:
    shortcut.make(work, lambda: pytest.fail("its sentences were asked for"), steps=1)
