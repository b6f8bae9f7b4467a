"""Scope: a model of somebody else's, from outside the package, in the engine: it needs no line of Higgs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from realtime.engine.attention import GatherAttention
from realtime.engine.load import load_engine
from realtime.engine.messages import EngineConfig
from realtime.engine.models.checkpoint import OpenedCheckpoint, SamplingDefaults, read_manifest
from realtime.engine.models.speech_model import Attend, Kinds, RowsOf, Spoken
from realtime.engine.runner import PromptPart, Runner
from realtime.engine.sampling import Alphabet
from realtime.engine.slots import SlotSampling
from realtime.request import Speak, Voicing
from tests.engine.harness import Stage


class Sizes:
    layers, heads, kv_heads, head_dim, max_positions = 1, 2, 2, 4, 64


class Counter:
    """Says, in every codebook, one id more than in the row before."""

    config, device, dtype = Sizes(), torch.device("cpu"), torch.float32
    alphabet = Alphabet(num_codebooks=2, size=12, bos=10, eos=11)

    def embed(self, tokens: Tensor, kinds: Kinds) -> Tensor:
        return torch.zeros(len(tokens), 8)

    def embed_rows(self, rows: Tensor) -> Tensor:
        return torch.nn.functional.pad(rows.float(), (0, 8 - rows.shape[1]))

    def forward(self, x: Tensor, positions: Tensor, kinds: Kinds | None, attend: Attend) -> Tensor:
        heads = x.view(len(x), 2, 4)
        attend(0, heads, heads, heads)
        return x

    def logits(self, x: Tensor) -> Tensor:
        following = (x[:, : self.alphabet.num_codebooks].long() + 1) % self.alphabet.bos
        return torch.nn.functional.one_hot(following, self.alphabet.size).float()


def test_the_runner_runs_any_model_that_keeps_the_protocol() -> None:
    runner = Runner(
        Counter(),
        GatherAttention(),
        slots=2,
        pages=8,
        page_size=16,
        positions_per_slot=64,
        ras_window=0,
        ras_max_repeats=0,
    )
    prompt = np.array([[3, -1], [4, -1]])
    runner.open_slot(0, 2, [1, 2, 3, 4], SlotSampling(greedy=True))
    runner.prefill([PromptPart(prompt, 0, [1, 2, 3, 4])])
    rows = [runner.decode([0]).ids[0].tolist() for _ in range(4)]
    assert rows[0][1] == 10, "the second codebook begins one row later"
    assert [row[0] for row in rows] == [1, 2, 3, 4]
    assert [row[1] for row in rows[1:]] == [1, 2, 3]


class ForThisCodec(Counter):
    alphabet = Alphabet(num_codebooks=8, size=1026, bos=1024, eos=1025)


class Prompts:
    def prompt(self, voicing: Voicing, spoken: list[Spoken], text: str, rows_of: RowsOf) -> np.ndarray:
        return np.array([[len(text)] + [-1] * 7])


def opened(folder: Path, codec: str | None) -> OpenedCheckpoint:
    return OpenedCheckpoint(
        folder=folder,
        codec_folder=folder / "codec",
        sampling=SamplingDefaults(greedy=True, temperature=1.0, top_k=0, top_p=1.0, ras_window=0, ras_max_repeats=0),
        manifest=read_manifest(folder),
        markers=[],
        load=lambda device, dtype: ForThisCodec(),
        prompts=lambda front_end: Prompts(),
    )


def test_a_family_of_models_that_a_package_offers_is_found_by_its_model_type(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, folder = tmp_path / "counter-1.dist-info", tmp_path / "checkpoint"
    package.mkdir()
    (package / "METADATA").write_text("Name: counter\nVersion: 1\n")
    (package / "entry_points.txt").write_text(f"[voiced.models]\ncounter = {__name__}:opened\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copytree(tiny_checkpoint / "codec", folder / "codec")
    (folder / "config.json").write_text('{"model_type": "counter"}')
    engine, info = load_engine(EngineConfig(str(folder), slots=2, threads=1), lambda name: str, lambda stage: None)
    assert (info.checkpoint, info.front_end) == ("checkpoint", "none")
    stage = Stage(engine)
    stage.speak(Speak("one", "Hello.", max_frames=5))
    assert stage.ended["one"].frames == 5
    assert [int(row[0]) for row in stage.rows["one"][:5]] == [1, 2, 3, 4, 5]
    engine.close()
