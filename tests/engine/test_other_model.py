"""Scope: a model of somebody else's, from outside the package, in the engine's runner: it needs no line of Higgs."""

import numpy as np
import torch
from torch import Tensor

from realtime.engine.attention import GatherAttention
from realtime.engine.models.speech_model import Attend, Kinds
from realtime.engine.runner import PromptPart, Runner
from realtime.engine.sampling import Alphabet
from realtime.engine.slots import SlotSampling


class Sizes:
    layers, heads, kv_heads, head_dim, max_positions = 1, 2, 2, 4, 64


class Counter:
    """Says, in every codebook, one id more than in the row before."""

    config, device, dtype = Sizes(), torch.device("cpu"), torch.float32
    alphabet = Alphabet(num_codebooks=2, size=12, bos=10, eos=11)

    def embed(self, tokens: Tensor, kinds: Kinds) -> Tensor:
        return torch.zeros(len(tokens), 8)

    def embed_rows(self, rows: Tensor) -> Tensor:
        return torch.nn.functional.pad(rows.float(), (0, 6))

    def forward(self, x: Tensor, positions: Tensor, kinds: Kinds | None, attend: Attend) -> Tensor:
        heads = x.view(len(x), 2, 4)
        attend(0, heads, heads, heads)
        return x

    def logits(self, x: Tensor) -> Tensor:
        following = (x[:, :2].long() + 1) % 10
        return torch.nn.functional.one_hot(following, 12).float()


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
