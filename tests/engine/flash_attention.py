"""Scope: the CUDA kernel behind `varlen_attn` as far as the CPU can tell: what it refuses, and what it computes.

The checks are those of FlashAttention 2 in PyTorch 2.13 (aten/src/ATen/native/transformers/cuda/attention.cu and
flash_attn/flash_api.cpp, `mha_varlen_fwd`), in their order. PyTorch's own `varlen_attn` runs before it, unchanged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@contextmanager
def flash_attention_on_the_cpu() -> Iterator[list[dict[str, Any]]]:
    """While it lasts the kernel runs on CPU tensors; yields the list of its calls' arguments."""
    calls: list[dict[str, Any]] = []

    def forward(*args: Any, **options: Any) -> tuple[Tensor, ...]:
        names = ("query", "key", "value", "cu_q", "cu_k", "max_q", "max_k", "dropout", "causal", "debug")
        call = {**dict(zip(names, args, strict=True)), **options}
        calls.append(call)
        out = _attend(call)
        return out, torch.zeros(out.shape[1], out.shape[0]), torch.zeros(2), torch.zeros(()), torch.zeros(())

    library = torch.library.Library("aten", "IMPL")
    library.impl("_flash_attention_forward", forward, "CPU")
    try:
        yield calls
    finally:
        library._destroy()


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise RuntimeError(message)


def _attend(call: dict[str, Any]) -> Tensor:
    query, key, value, cu_q, cu_k = (call[name] for name in ("query", "key", "value", "cu_q", "cu_k"))
    used, table, splits = (call.get(name) for name in ("seqused_k", "block_table", "num_splits"))
    _check(
        (cu_q is None) == (cu_k is None),
        "cumulative_sequence_length_q and cumulative_sequence_length_k must be both set or both not set",
    )
    _check(query.dtype in (torch.float16, torch.bfloat16), "FlashAttention only support fp16 and bf16 data type")
    _check(key.dtype == value.dtype == query.dtype, "query and key must have the same dtype")
    _check(cu_q.dtype == torch.int32, "cu_seqlens_q must have dtype int32")
    _check(cu_k.dtype == torch.int32, "cu_seqlens_k must have dtype int32")
    _check(table.dtype == torch.int32, "block_table must have dtype torch.int32")
    _check(table.stride(-1) == 1, "block_table must have contiguous last dimension")
    for tensor in (query, key, value):
        _check(tensor.stride(-1) == 1, "Input tensor must have contiguous last dimension")
    _check(cu_q.is_contiguous() and cu_k.is_contiguous(), "cu_seqlens must be contiguous")
    batch, (total, heads, dim) = cu_q.numel() - 1, query.shape
    pages, page_size, kv_heads = key.shape[:3]
    _check(page_size % 256 == 0, "Paged KV cache block size must be divisible by 256")
    _check(batch > 0, "batch size must be positive")
    _check(dim <= 256, "FlashAttention forward only supports head dimension at most 256")
    _check(dim % 8 == 0, "query should have head_size that is a multiple of 8")
    _check(heads % kv_heads == 0, "Number of heads in key/value must divide number of heads in query")
    _check(tuple(value.shape) == (pages, page_size, kv_heads, dim), "v must have shape of k")
    _check(tuple(cu_k.shape) == (batch + 1,), "cu_seqlens_k must have shape (batch_size + 1)")
    _check(table.shape[0] == batch, "block_table must have shape (batch_size, max_num_blocks_per_seq)")
    _check(used.dtype == torch.int32, "seqused_k must have dtype int32")
    _check(used.is_contiguous() and tuple(used.shape) == (batch,), "seqused_k must have shape (batch_size)")
    _check(splits in (None, 0, 1), "num_splits")
    # what it does not check and reads wrong memory without
    assert int(cu_q[-1]) == total
    assert call["max_q"] == int(cu_q.diff().max())
    assert call["max_k"] == table.shape[1] * page_size >= int(used.max())
    assert cu_k.diff().min() >= used.max()
    out = torch.empty_like(query)
    for row in range(batch):
        first, end, length = int(cu_q[row]), int(cu_q[row + 1]), int(used[row])
        new = query[first:end].transpose(0, 1)[None]
        k, v = (pool[table[row].long()].flatten(0, 1)[:length].transpose(0, 1)[None] for pool in (key, value))
        positions = torch.arange(length)
        mask = positions[None] <= positions[length - (end - first) :, None] if call["window_size_right"] == 0 else None
        mixed = F.scaled_dot_product_attention(new, k, v, attn_mask=mask, enable_gqa=True)
        out[first:end] = mixed[0].transpose(0, 1)
    return out
