"""Holds the running batch as tensors: one row of state per slot, all on the device.

A step picks the rows of the slots it serves, advances them and puts them back; nothing about a stream's progress is
kept twice. The last row is a spare that padding may write to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class SlotSampling:
    """Says how one slot draws its ids; top_k 0 and top_p 1 mean off, `ras` switches repetition-aware resampling."""

    greedy: bool = True
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    ras: bool = False
    seed: int = 0


@dataclass
class SlotState:
    """Holds the state of all slots in tensors [slots + 1, ...].

    `window` holds the last rows for repetition-aware sampling, newest last.
    """

    slots: int
    num_codebooks: int
    stream_bos: int
    pages_per_slot: int
    window_rows: int
    device: torch.device
    row: Tensor = field(init=False)  # [S, K] last row, fed next
    position: Tensor = field(init=False)  # [S] where it goes in the sequence
    row_index: Tensor = field(init=False)  # [S] its index in the utterance (0: the all-BOS row)
    since_eos: Tensor = field(init=False)  # [S] rows since the first EOS id, counting itself; 0: none yet
    window: Tensor = field(init=False)  # [S, W, K]
    table: Tensor = field(init=False)  # [S, P] pages
    greedy: Tensor = field(init=False)
    temperature: Tensor = field(init=False)
    top_k: Tensor = field(init=False)
    top_p: Tensor = field(init=False)
    ras: Tensor = field(init=False)
    seed: Tensor = field(init=False)

    def __post_init__(self) -> None:
        size, device = self.slots + 1, self.device

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(size, *shape, dtype=dtype, device=device)

        self.row = zeros(self.num_codebooks)
        self.position, self.row_index, self.since_eos = zeros(), zeros(), zeros()
        self.window = zeros(self.window_rows, self.num_codebooks) - 1
        self.table = zeros(self.pages_per_slot, dtype=torch.int32)
        self.greedy = torch.ones(size, dtype=torch.bool, device=device)
        self.temperature = torch.ones(size, device=device)
        self.top_k, self.top_p = zeros(), torch.ones(size, device=device)
        self.ras, self.seed = zeros(dtype=torch.bool), zeros()

    def open(self, slot: int, prompt_positions: int, pages: list[int], sampling: SlotSampling) -> None:
        """Set a slot to the start of an utterance: the all-BOS row comes right after the prompt."""
        self.row[slot] = self.stream_bos
        self.position[slot] = prompt_positions
        self.row_index[slot] = 0
        self.since_eos[slot] = 0
        self.window[slot] = -1
        self.table[slot] = 0
        self.table[slot, : len(pages)] = torch.tensor(pages, dtype=torch.int32, device=self.device)
        self.greedy[slot] = sampling.greedy
        self.temperature[slot] = sampling.temperature
        self.top_k[slot] = sampling.top_k
        self.top_p[slot] = sampling.top_p
        self.ras[slot] = sampling.ras
        self.seed[slot] = sampling.seed
