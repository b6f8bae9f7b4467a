"""Attention over paged keys and values, twice: gathered pages and SDPA anywhere, the varlen kernel on CUDA.

A backend is given one layer's pools [pages, page_size, kv_heads, head_dim] with the step's own keys and values already
written, and says nothing about which pages are whose: that is in the page table.
"""

from __future__ import annotations

import inspect
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Attention(Protocol):
    """Two shapes of work: one new position for each of B streams, or a chunk of one prompt."""

    name: str

    def decode(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
        """q [B, heads, D], table [B, P] pages, lengths [B] valid positions (the new one included) -> [B, heads, D]."""

    def prefill(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, length: int) -> Tensor:
        """q [T, heads, D] are the last T of `length` positions, table [P] pages -> [T, heads, D]."""


class GatherAttention:
    """Copies the pages a step needs next to each other and calls SDPA. Works on every device."""

    name = "gather+sdpa"

    def decode(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
        streams, heads, dim = q.shape
        k, v = _gathered(keys, table), _gathered(values, table)  # [B, kv_heads, L, D]
        kv_heads, span = k.shape[1], k.shape[2]
        # the query heads of one KV head stand in for query positions: no repeated keys, one small product per head
        grouped = q.view(streams, kv_heads, heads // kv_heads, dim)
        visible = torch.arange(span, device=q.device) < lengths[:, None]
        mask = torch.zeros(visible.shape, dtype=q.dtype, device=q.device).masked_fill_(~visible, -torch.inf)
        out = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask[:, None, None])
        return out.reshape(streams, heads, dim)

    def prefill(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, length: int) -> Tensor:
        new = q.shape[0]
        k, v = _gathered(keys, table[None]), _gathered(values, table[None])
        k, v = k[:, :, :length], v[:, :, :length]
        positions = torch.arange(length, device=q.device)
        mask = positions[None] <= positions[length - new :, None]
        out = F.scaled_dot_product_attention(q.transpose(0, 1)[None], k, v, attn_mask=mask, enable_gqa=True)
        return out[0].transpose(0, 1)


class VarlenAttention:
    """PyTorch's paged flash attention (CUDA, PyTorch 2.13 or later). One split, so results do not depend on neighbours."""

    name = "varlen_attn"

    @staticmethod
    def available() -> bool:
        """Whether this PyTorch has the paged form of the kernel."""
        try:
            from torch.nn.attention.varlen import varlen_attn
        except ImportError:
            return False
        return torch.cuda.is_available() and "block_table" in inspect.signature(varlen_attn).parameters

    def decode(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
        bounds = torch.arange(q.shape[0] + 1, dtype=torch.int32, device=q.device)
        return self._attend(q, keys, values, table, lengths.to(torch.int32), bounds, 1)

    def prefill(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, length: int) -> Tensor:
        bounds = torch.tensor([0, q.shape[0]], dtype=torch.int32, device=q.device)
        used = torch.tensor([length], dtype=torch.int32, device=q.device)
        return self._attend(q, keys, values, table[None], used, bounds, q.shape[0])

    def _attend(
        self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, used: Tensor, bounds: Tensor, longest: int
    ) -> Tensor:
        from torch.nn.attention.varlen import varlen_attn

        out = varlen_attn(
            q,
            keys,
            values,
            bounds,
            None,
            longest,
            table.shape[1] * keys.shape[1],
            window_size=(-1, 0),
            enable_gqa=q.shape[1] != keys.shape[2],
            seqused_k=used,
            block_table=table.to(torch.int32),
            num_splits=1,
        )
        assert isinstance(out, Tensor)
        return out


def pick_attention(device: torch.device) -> tuple[Attention, int]:
    """The backend for a device, and the page size it wants."""
    if device.type == "cuda" and VarlenAttention.available():
        return VarlenAttention(), 256
    return GatherAttention(), 16


def _gathered(pool: Tensor, table: Tensor) -> Tensor:
    """pool [pages, S, H, D], table [B, P] -> [B, H, P*S, D] (a view of one copy)."""
    streams, pages = table.shape
    picked = pool.index_select(0, table.reshape(-1))
    return picked.view(streams, pages * pool.shape[1], pool.shape[2], pool.shape[3]).transpose(1, 2)
