"""Attends over paged keys and values, in two ways: gathered pages and SDPA anywhere, the varlen kernel on CUDA.

A backend is given one layer's pools [pages, page_size, kv_heads, head_dim] with the step's own keys and values already
written. It does not know which page belongs to whom: the page table says that.
"""

from __future__ import annotations

import inspect
import logging
import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from realtime.engine.errors import one_line

log = logging.getLogger("voiced.attention")


class Attention(Protocol):
    """Computes attention for two kinds of work: one new position for each of B streams, or a chunk of one prompt."""

    name: str

    def decode(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
        """Attend with one new position per stream: q [B, heads, D] -> [B, heads, D].

        `table` [B, P] lists each stream's pages; `lengths` [B] counts its valid positions, the new one included.
        """

    def prefill(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, length: int) -> Tensor:
        """Attend with a chunk of a prompt: q [T, heads, D] -> [T, heads, D].

        The chunk is the last T of `length` positions; `table` [P] lists the prompt's pages.
        """


_SCRATCH_BYTES = 2 << 20
_GATHERED = "gather+sdpa"


class GatherAttention:
    """Copies the pages a step needs next to each other and calls SDPA. Works on every device.

    On the CPU the copies of a few streams at a time go to a scratch that stays in the cache and is never given back:
    copying all streams at once is bound by memory and, in fresh memory, by page faults.
    """

    def __init__(self, name: str = _GATHERED) -> None:
        self.name = name
        self._scratch = [torch.empty(_SCRATCH_BYTES, dtype=torch.uint8) for _ in range(2)]

    def decode(self, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
        if q.is_cuda:
            return self._decode(q, _gathered(keys, table), _gathered(values, table), lengths)
        stream_bytes = table.shape[1] * keys[0].numel() * keys.element_size()
        group = _SCRATCH_BYTES // stream_bytes
        if group == 0:  # one stream alone is too long for the scratch
            return self._decode(q, _gathered(keys, table), _gathered(values, table), lengths)
        out = torch.empty_like(q)
        for start in range(0, q.shape[0], group):
            part = slice(start, start + group)
            k, v = (_gathered(p, table[part], into) for p, into in zip((keys, values), self._scratch, strict=True))
            out[part] = self._decode(q[part], k, v, lengths[part])
        return out

    @staticmethod
    def _decode(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
        """Attend over gathered pages: q [B, heads, D], k and v [B, kv_heads, L, D] -> [B, heads, D]."""
        streams, heads, dim = q.shape
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
    """Calls PyTorch's paged flash attention (CUDA, PyTorch 2.13 on).

    It uses one split, so that no result depends on what else is in the batch.
    """

    name = "varlen_attn"

    @staticmethod
    def available(device: torch.device, dtype: torch.dtype) -> bool:
        """Tell whether this PyTorch has the paged form of the kernel for `device` and `dtype` (half precision only)."""
        if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
            return False  # before the import, which brings in the compiler and takes seconds
        try:
            from torch.nn.attention.varlen import varlen_attn
        except ImportError:
            return False
        return "block_table" in inspect.signature(varlen_attn).parameters

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

        span = table.shape[1] * keys.shape[1]
        # the kernel wants bounds of the keys as well, though `used` and the table already say which keys there are
        key_bounds = torch.arange(table.shape[0] + 1, dtype=torch.int32, device=q.device) * span
        out = varlen_attn(
            q,
            keys,
            values,
            bounds,
            key_bounds,
            longest,
            span,
            window_size=(-1, 0),
            enable_gqa=q.shape[1] != keys.shape[2],
            seqused_k=used,
            block_table=table.to(torch.int32),
            num_splits=1,
        )
        assert isinstance(out, Tensor)
        return out


def pick_attention(
    device: torch.device, dtype: torch.dtype, *, heads: int, kv_heads: int, head_dim: int
) -> tuple[Attention, int]:
    """Choose the backend for a device and the shape of a model's heads; return it with the page size it wants.

    The paged kernel is called once before it is relied on. Where it fails, that is logged, pages are gathered, and the
    name of the backend says why. Raises torch.OutOfMemoryError, which says nothing about the kernel.
    """
    if not VarlenAttention.available(device, dtype):
        return GatherAttention(), 16
    kernel, page_size = VarlenAttention(), 256
    try:
        _try_out(kernel, device, dtype, heads, kv_heads, head_dim, page_size)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        reason = one_line(error)
        log.warning("%s does not run here, so attention gathers pages, which is slower: %s", kernel.name, reason)
        return GatherAttention(f"{_GATHERED} ({kernel.name} failed: {reason})"), 16
    return kernel, page_size


def _try_out(
    kernel: Attention,
    device: torch.device,
    dtype: torch.dtype,
    heads: int,
    kv_heads: int,
    head_dim: int,
    page_size: int,
) -> None:
    """Call a kernel once for each kind of work and wait for the results, since a failure may show only then."""
    pool = torch.zeros(2, page_size, kv_heads, head_dim, dtype=dtype, device=device)
    q = torch.zeros(2, heads, head_dim, dtype=dtype, device=device)
    table = torch.ones(2, 1, dtype=torch.int32, device=device)
    kernel.decode(q, pool, pool, table, torch.tensor([1, page_size], device=device))
    kernel.prefill(q, pool, pool, table[0], 2)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _gathered(pool: Tensor, table: Tensor, scratch: Tensor | None = None) -> Tensor:
    """Copy pages next to each other: pool [pages, S, H, D], table [B, P] -> [B, H, P*S, D].

    The result is a view of one copy, made in `scratch` (bytes) if that is given.
    """
    streams, pages = table.shape
    index = table.reshape(-1)
    if scratch is None:
        picked = pool.index_select(0, index)
    else:
        shape = (streams * pages, *pool.shape[1:])
        picked = scratch.view(pool.dtype)[: math.prod(shape)].view(shape)
        torch.index_select(pool, 0, index, out=picked)
    return picked.view(streams, pages * pool.shape[1], pool.shape[2], pool.shape[3]).transpose(1, 2)
