"""Defines what the engine asks of a model that speaks: prompts in, rows of codes out, in the delay pattern.

The engine around it (scheduler, pages, slots, sampling, decoder) knows no model. It takes for granted that a row holds
one id of each codebook, each codebook one row later than the one before, between an all-BOS and an all-EOS row. A
model's own room in `realtime.engine.models` holds the rest: its files, its layers, the wording of its prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from realtime.engine.sampling import Alphabet
from realtime.request import Voicing

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Attends in one layer: (layer, q [N, heads, D], k [N, kv_heads, D], v [N, kv_heads, D]) -> [N, heads, D].
It stores k and v on the way."""

RowsOf = Callable[[Any], np.ndarray]
"""Returns the delayed rows [R, K] of a clip; the first is all BOS, the last all EOS."""


@dataclass(frozen=True)
class Kinds:
    """Tells which of N packed positions are text and which are audio, as index tensors."""

    text: Tensor
    audio: Tensor


@dataclass(frozen=True)
class Spoken:
    """Holds an utterance already spoken: its text, and the rows [R, K] as generated.

    The first row is all BOS, the last all EOS.
    """

    text: str
    rows: np.ndarray


class Sizes(Protocol):
    """Gives the sizes that decide how much memory the past of a request takes."""

    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def max_positions(self) -> int: ...


class SpeechModel(Protocol):
    """Holds the weights on one device, and runs the forward pass over them. It keeps no state of any request."""

    @property
    def config(self) -> Sizes: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def alphabet(self) -> Alphabet:
        """Say how many codebooks a row has, of how many ids, and which two ids mark the beginning and the end of a
        stream.
        """

    def embed(self, tokens: Tensor, kinds: Kinds) -> Tensor:
        """Embed prompt positions: tokens [N, K] (a text id sits in column 0) -> [N, H]."""

    def embed_rows(self, rows: Tensor) -> Tensor:
        """Embed rows of audio: ids [N, K] -> [N, H]."""

    def forward(self, x: Tensor, positions: Tensor, kinds: Kinds | None, attend: Attend) -> Tensor:
        """Pass hidden states [N, H] through all layers; `kinds` None means that every position is audio.

        `positions` [N] are the places in the sequence.
        """

    def logits(self, x: Tensor) -> Tensor:
        """Score the ids of the next row: [N, H] -> float32 [N, K, V]."""


class Prompts(Protocol):
    """Words the prompts of one checkpoint."""

    def prompt(self, voicing: Voicing, spoken: list[Spoken], text: str, rows_of: RowsOf) -> np.ndarray:
        """Return the tokens [N, K] int64 of a prompt that ends where the first (all-BOS) audio row goes.

        A text position holds its id and then -1s, an audio position the K ids of one row. `spoken` is what the same
        context said before. Raises RequestError where `voicing` or `text` cannot be put before this model, and Silent
        where nothing of `text` is left to say.
        """
