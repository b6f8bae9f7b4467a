"""Scope: which attention runs, and that the paged kernel is called as it wants to be, told without a GPU."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from realtime.engine.attention import GatherAttention, VarlenAttention, pick_attention
from realtime.request import Speak
from tests.engine.flash_attention import flash_attention_on_the_cpu
from tests.engine.harness import GREEDY, SMART, Stage, load

CPU = torch.device("cpu")
PAGE = 256


@pytest.fixture
def kernel_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The paged kernel is there, on the CPU, and checks its arguments."""
    monkeypatch.setattr(VarlenAttention, "available", lambda device, dtype: True)
    with flash_attention_on_the_cpu() as calls:
        yield calls


def _pools(kv_heads: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(9, PAGE, kv_heads, dim, generator=random).bfloat16() for _ in "kv")
    return keys, values, (torch.randperm(8, generator=random) + 1).view(4, 2).to(torch.int32)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(24, 8, 128), (4, 2, 64), (8, 8, 64)])
def test_the_paged_kernel_is_called_as_it_wants_and_means_what_gathering_means(
    kernel_calls: list[dict[str, Any]], heads: int, kv_heads: int, dim: int
) -> None:
    keys, values, table = _pools(kv_heads, dim)
    random = torch.Generator().manual_seed(1)
    q = torch.randn(4, heads, dim, generator=random).bfloat16()
    chunk = torch.randn(90, heads, dim, generator=random).bfloat16()
    paged, gathered = VarlenAttention(), GatherAttention()
    lengths = torch.tensor([1, 77, 300, 512])
    for wide in (table, table.repeat(1, 2)[:, :3]):  # also as a part of a wider table, as slots have it
        got, want = (each.decode(q, keys, values, wide, lengths) for each in (paged, gathered))
        assert (got - want).abs().max() < 0.03
    for length in (90, 333, 512):
        seen = table[2, : -(-length // PAGE)].long()
        got, want = (each.prefill(chunk, keys, values, seen, length) for each in (paged, gathered))
        assert (got - want).abs().max() < 0.03
    assert len(kernel_calls) == 5
    assert {call["num_splits"] for call in kernel_calls} == {1}, "what one stream hears depends on no other"


def test_an_engine_speaks_with_the_paged_kernel(kernel_calls: list[dict[str, Any]], tiny_checkpoint: Path) -> None:
    engine, info = load(tiny_checkpoint, dtype="bfloat16")
    assert (info.attention, info.page_size) == ("varlen_attn", PAGE)
    stage = Stage(engine)
    stage.speak(*(Speak(name, "Good evening.", SMART, sampling=GREEDY, max_frames=6) for name in "abc"))
    assert {ended.reason for ended in stage.ended.values()} <= {"stop", "length"}
    assert {call["max_q"] for call in kernel_calls} > {1}
    engine.close()


def test_a_kernel_that_refuses_its_first_call_is_said_once_and_pages_are_gathered(
    kernel_calls: list[dict[str, Any]],
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.\nException raised from here")

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", refuse)
    with caplog.at_level(logging.INFO):
        engine, info = load(tiny_checkpoint, dtype="bfloat16")
    assert info.attention == "gather+sdpa (varlen_attn failed: FlashAttention only supports Ampere GPUs or newer.)"
    assert info.page_size == 16
    assert [record.levelname for record in caplog.records if "Ampere" in record.message] == ["WARNING"]
    stage = Stage(engine)
    stage.speak(Speak("a", "Good evening.", SMART, sampling=GREEDY, max_frames=6))
    assert stage.ended["a"].reason in ("stop", "length")
    engine.close()


def test_a_device_that_is_full_says_nothing_about_the_kernel(
    kernel_calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", refuse)
    with pytest.raises(torch.OutOfMemoryError):
        pick_attention(CPU, torch.bfloat16, heads=4, kv_heads=2, head_dim=16)
    assert kernel_calls == []


@pytest.mark.parametrize(
    ("device", "dtype", "paged"),
    [("cuda", torch.bfloat16, True), ("cuda", torch.float32, False), ("cpu", torch.bfloat16, False)],
)
def test_the_paged_kernel_takes_half_precision_on_cuda_only(device: str, dtype: torch.dtype, paged: bool) -> None:
    assert VarlenAttention.available(torch.device(device), dtype) == paged
