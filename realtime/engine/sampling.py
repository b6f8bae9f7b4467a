"""Draws one row from logits: delay masks, temperature, top-k, top-p, repetition-aware resampling.

These are pure tensor functions without host synchronisation, so that a CUDA graph can hold them. Probabilities equal
those of transformers' delay pattern processor followed by its temperature, top-k and top-p warpers. A draw depends on
the request's seed, the row's index and the codebook alone, never on what else runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Alphabet:
    """Holds the ids of one codebook: codes first, then the two stream markers. `size` counts all of them."""

    num_codebooks: int
    size: int
    bos: int
    eos: int


def uniform(seed: Tensor, row_index: Tensor, num_codebooks: int, draw: int) -> Tensor:
    """Return counter-based uniforms in (0, 1): seed [B] int64, row_index [B] int64 -> [B, K] float32.

    They are a 32-bit integer hash (murmur3's finaliser, three rounds) of seed, row, codebook and draw.
    """
    codebook = torch.arange(num_codebooks, device=seed.device)
    counter = (row_index[:, None] * num_codebooks + codebook) * 2 + draw
    state = (seed[:, None] + 0x9E3779B9 * (counter + 1)) & _MASK32
    state = _mix(state)
    state = _mix(state ^ ((seed[:, None] >> 32) & _MASK32))
    state = _mix((state + counter) & _MASK32)
    return ((state >> 9).to(torch.float32) + 0.5) * (1.0 / (1 << 23))  # 23 bits and a half are exact in float32


def _mix(state: Tensor) -> Tensor:
    state = state ^ (state >> 16)
    state = (state * 0x85EBCA6B) & _MASK32
    state = state ^ (state >> 13)
    state = (state * 0xC2B2AE35) & _MASK32
    return state ^ (state >> 16)


def delay_masked(logits: Tensor, row_index: Tensor, since_eos: Tensor, alphabet: Alphabet) -> Tensor:
    """Mask logits [B, K, V] so that the delay pattern's forced ids are drawn.

    Row r forces BOS in codebooks k >= r; n rows after the first EOS id, codebooks k < n are forced to EOS. `row_index`
    [B] is the index of the row to draw, `since_eos` [B] the n of that row (0: no EOS yet).
    """
    codebook = torch.arange(alphabet.num_codebooks, device=logits.device)
    starting = codebook >= row_index[:, None]
    ending = codebook < since_eos[:, None]
    # forbid all ids of a forced codebook and put its one id back, which needs no comparison for each id
    masked = logits.masked_fill((starting | ending)[..., None], -torch.inf)
    masked[..., alphabet.bos] = torch.where(starting, logits[..., alphabet.bos], masked[..., alphabet.bos])
    masked[..., alphabet.eos] = torch.where(ending, logits[..., alphabet.eos], masked[..., alphabet.eos])
    return masked


def filtered(
    scores: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor, candidates: int
) -> tuple[Tensor, Tensor]:
    """Return the distribution to draw from: scores [B, K, V] -> probabilities and their ids, both [B, K, candidates].

    `candidates` bounds how many of the best ids are looked at: it must be at least every top_k in the batch, or the
    whole alphabet when one of them is off. Rows are sorted, best first; top_k 0 and top_p 1 mean off.
    """
    scaled = scores / temperature[:, None, None]
    values, ids = torch.topk(scaled, candidates, dim=-1)
    last = torch.where(top_k > 0, top_k.clamp(max=candidates), candidates) - 1
    threshold = values.gather(-1, last[:, None, None].expand(-1, values.shape[1], 1))
    values = values.masked_fill(values < threshold, -torch.inf)
    tail = values.softmax(-1).flip(-1).cumsum(-1).flip(-1)  # mass of an id and of all behind it
    drop = (tail <= 1.0 - top_p[:, None, None]) & (top_p < 1.0)[:, None, None]
    drop[..., 0] = False
    return values.masked_fill(drop, -torch.inf).softmax(-1), ids


def draw(probabilities: Tensor, u: Tensor) -> Tensor:
    """Draw an index by inversion: probabilities [..., N], u [...] in (0, 1) -> [...] int64."""
    cumulative = probabilities.cumsum(-1)
    index = (cumulative < (u * cumulative[..., -1])[..., None]).sum(-1)
    return index.clamp(max=probabilities.shape[-1] - 1)


def repeats(ids: Tensor, window: Tensor, alphabet: Alphabet) -> Tensor:
    """Count how often each id [B, K] occurs among its codebook's last rows [B, W, K] -> [B, K]; markers never count."""
    same = (window == ids[:, None]) & (window != alphabet.bos) & (window != alphabet.eos)
    return same.sum(1)
