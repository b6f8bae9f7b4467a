"""Scope: the CUDA path against the CPU path: rows, graphs, the paged kernel, the decoder, a whole engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from codec_stream.codec_config import CodecConfig
from codec_stream.decoder import DecodeJob, StreamingDecoder
from codec_stream.delay import Codes
from codec_stream.weights import load_codec_weights
from realtime.engine.attention import Attention, GatherAttention, VarlenAttention, pick_attention
from realtime.engine.models.higgs_v2.backbone import Backbone
from realtime.engine.models.higgs_v2.checkpoint import open_checkpoint
from realtime.engine.models.higgs_v2.prompter import Prompter
from realtime.engine.runner import PromptPart, Runner
from realtime.engine.slots import SlotSampling
from realtime.request import Sampling, Speak
from tests.engine.harness import GREEDY, SMART, Stage, assert_same_rows, load

pytestmark = pytest.mark.gpu

CPU = torch.device("cpu")
DEVICE = torch.device("cuda")
_TEXTS = [f"Number {n}: the ferry leaves the harbour at dawn, whatever the weather." * (1 + n % 3) for n in range(8)]


@pytest.fixture(autouse=True)
def _full_precision() -> Iterator[None]:
    """TF32 is a choice of the caller's; these tests compare with the CPU."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _runner(
    folder: Path, device: torch.device, dtype: torch.dtype, attention: Attention, page_size: int = 16
) -> Runner:
    checkpoint = open_checkpoint(str(folder))
    backbone = Backbone(checkpoint.config, checkpoint.weights(), device, dtype)
    return Runner(
        backbone,
        attention,
        slots=8,
        pages=1 + 8 * (1024 // page_size),
        page_size=page_size,
        positions_per_slot=checkpoint.config.max_positions,
        ras_window=7,
        ras_max_repeats=2,
    )


def _open(runner: Runner, folder: Path, samplings: list[SlotSampling]) -> None:
    """One prompt per slot, prefilled in chunks of 50 positions."""
    prompter = Prompter(open_checkpoint(str(folder)), lambda text: text)
    per_slot = 1024 // runner.page_size
    for slot, sampling in enumerate(samplings):
        tokens = prompter.prompt(SMART, [], _TEXTS[slot], lambda part: np.zeros((0, 8)))
        pages = list(range(1 + slot * per_slot, 1 + (slot + 1) * per_slot))
        runner.open_slot(slot, len(tokens), pages, sampling)
        for start in range(0, len(tokens), 50):
            runner.prefill([PromptPart(tokens[start : start + 50], start, pages)])


def _rows(runner: Runner, batches: list[list[int]]) -> list[np.ndarray]:
    return [runner.decode(batch).ids for batch in batches]


_MIXED = [
    SlotSampling(
        greedy=slot % 3 == 0, temperature=0.9, top_k=(0, 40, 100)[slot % 3], top_p=0.95, ras=slot % 2 == 0, seed=slot
    )
    for slot in range(8)
]


def _batches(steps: int) -> list[list[int]]:
    """Streams that come and go: all batch sizes from 1 to 8."""
    random = np.random.default_rng(0)
    return [sorted(random.permutation(8)[: 1 + step % 8].tolist()) for step in range(steps)]


def test_float32_rows_are_those_of_the_cpu(noise_checkpoint: Callable[[int], Path]) -> None:
    folder, batches, out = noise_checkpoint(11), _batches(80), []
    for device in (CPU, DEVICE):
        runner = _runner(folder, device, torch.float32, GatherAttention())
        _open(runner, folder, [SlotSampling()] * 8)
        out.append(_rows(runner, batches))
    for step, (want, got) in enumerate(zip(*out, strict=True)):
        assert np.array_equal(want, got), f"step {step}"


def test_bfloat16_logits_are_close_to_those_of_float32(noise_checkpoint: Callable[[int], Path]) -> None:
    folder, seen = noise_checkpoint(11), []
    for device, dtype in ((CPU, torch.float32), (DEVICE, torch.bfloat16)):
        runner = _runner(folder, device, dtype, GatherAttention())
        _open(runner, folder, [SlotSampling()] * 8)
        kept: list[Tensor] = []
        healthy = runner.model.logits
        runner.model.logits = lambda x, h=healthy, k=kept: k.append(h(x)) or k[-1]  # type: ignore[method-assign, misc]
        with torch.inference_mode():
            runner._step(torch.arange(8, device=device), runner.state.table.shape[1], runner._variant(list(range(8))))
        seen.append(kept[0].float().cpu())
    error = (seen[1] - seen[0]).square().mean().sqrt() / seen[0].square().mean().sqrt()
    assert error < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_replayed_graphs_draw_what_eager_steps_draw(
    noise_checkpoint: Callable[[int], Path], dtype: torch.dtype
) -> None:
    folder = noise_checkpoint(12)
    replayed, eager = (_runner(folder, DEVICE, dtype, GatherAttention()) for _ in range(2))
    for runner in (replayed, eager):
        _open(runner, folder, _MIXED)
    for step, batch in enumerate(_batches(64)):
        got = replayed.decode(batch)
        size = 1 << (len(batch) - 1).bit_length()  # the same shapes, so that the same kernels are chosen
        slots = torch.tensor(batch + [eager.pad_slot] * (size - len(batch)), device=DEVICE)
        with torch.inference_mode():
            want = eager._step(slots, eager._table_width(batch), eager._variant(batch)).cpu().numpy()
        for slot in batch:
            eager._positions[slot] += 1
        assert np.array_equal(got.ids, want[: len(batch), :-1]), f"step {step}"


def _picked(dtype: torch.dtype) -> tuple[Attention, int]:
    return pick_attention(DEVICE, dtype, heads=24, kv_heads=8, head_dim=128)


def test_the_paged_kernel_is_used_where_it_is_there() -> None:
    attention, page_size = _picked(torch.bfloat16)
    if VarlenAttention.available(DEVICE, torch.bfloat16):
        assert (attention.name, page_size) == ("varlen_attn", 256)
    else:
        assert (attention.name, page_size) == ("gather+sdpa", 16)
    assert _picked(torch.float32)[0].name == "gather+sdpa"


def _pools(page_size: int, heads: int, kv_heads: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    pages = 1 + 4 * (1024 // page_size)
    keys, values = (
        torch.randn(pages, page_size, kv_heads, dim, generator=random).to(DEVICE, torch.bfloat16) for _ in "kv"
    )
    order = torch.randperm(pages - 1, generator=random) + 1
    return keys, values, order.view(4, -1).to(DEVICE, torch.int32)


@pytest.mark.parametrize("shape", [(24, 8, 128), (4, 2, 64), (8, 8, 64)])
def test_the_paged_kernel_agrees_with_gathered_attention(
    shape: tuple[int, int, int], record_property: Callable[[str, object], None]
) -> None:
    """On the page size in use; the others are tried and reported."""
    gather = GatherAttention()
    if not VarlenAttention.available(DEVICE, torch.bfloat16):
        # nothing to compare on this PyTorch: then the other backend must be the one that runs
        assert _picked(torch.bfloat16)[0].name == gather.name
        return
    varlen, outcome = VarlenAttention(), {}
    for page_size in (16, 64, 256):
        keys, values, table = _pools(page_size, *shape)
        lengths = torch.tensor([1, 77, 500, 1024], device=DEVICE)
        q = torch.randn(4, shape[0], shape[2], device=DEVICE, dtype=torch.bfloat16)
        chunk = torch.randn(90, shape[0], shape[2], device=DEVICE, dtype=torch.bfloat16)
        try:
            errors = [
                (varlen.decode(q, keys, values, table, lengths) - gather.decode(q, keys, values, table, lengths))
                .abs()
                .max()
            ]
            for length in (90, 333, 1024):
                seen = table[2, : -(-length // page_size)]
                a, b = (each.prefill(chunk, keys, values, seen, length) for each in (varlen, gather))
                errors.append((a - b).abs().max())
            outcome[page_size] = f"{max(float(error) for error in errors):.4f}"
        except RuntimeError as error:
            assert page_size != 256, error
            outcome[page_size] = f"refused: {str(error).splitlines()[0]}"
            continue
        assert max(errors) < 0.03, f"page size {page_size}"
    record_property("page_sizes", outcome)
    print("page sizes", shape, outcome)


@pytest.mark.parametrize("look_ahead", [None, 4])
def test_the_decoder_gives_the_samples_of_the_cpu(
    noise_checkpoint: Callable[[int], Path], look_ahead: int | None
) -> None:
    folder = noise_checkpoint(11) / "codec"
    config, weights = CodecConfig.from_json(folder / "config.json"), load_codec_weights(folder)
    codes = np.random.default_rng(0).integers(0, 1024, (5, 40, 8))
    out = []
    for device in (CPU, DEVICE):
        decoder = StreamingDecoder(config, weights, device, look_ahead)
        state = decoder.new_state(6)
        parts: list[list[np.ndarray]] = [[] for _ in range(5)]
        at = [0] * 5
        random = np.random.default_rng(1)
        while min(at) < 40:
            size = int(random.choice([1, 2, 4, 8]))
            live = [s for s in range(5) if at[s] + size < 40 and random.random() < 0.7]
            ending = [s for s in range(5) if at[s] < 40 <= at[s] + size]
            for group, final in ((live, False), (ending, True)):
                ahead = decoder.partial_frames
                turns = []
                for s in group:
                    end = min(40, at[s] + size)
                    turns.append(DecodeJob(s, Codes(codes[s, at[s] : end], codes[s, end : end + ahead]), final))
                    at[s] = end
                if turns:
                    for s, samples in zip(group, decoder.decode(state, turns), strict=True):
                        parts[s].append(samples)
        out.append(np.stack([np.concatenate(each) for each in parts]))
    assert out[0].shape == (5, 40 * 960)
    assert np.abs(out[1] - out[0]).max() < 1e-4 * np.abs(out[0]).max()


def _requests() -> list[Speak]:
    kinds = [GREEDY, Sampling(top_k=30), Sampling(top_k=0, top_p=0.9)]
    return [
        Speak(f"{n}", _TEXTS[n], SMART, sampling=kinds[n % 3], seed=n, max_frames=40, paced=bool(n % 2))
        for n in range(8)
    ]


def _serve(stage: Stage, requests: list[Speak]) -> None:
    for request in requests:
        stage.submit(request)
        stage.step()
    stage.submit(Speak("cut", _TEXTS[0], SMART))
    for _ in range(9):
        stage.step()
    stage.engine.cancel("cut")
    stage.drain()
    assert stage.ended["cut"].reason == "cancelled"
    stage.assert_idle()


def test_a_whole_engine_says_what_it_says_on_the_cpu(noise_checkpoint: Callable[[int], Path]) -> None:
    stages = {}
    for device in (CPU, DEVICE):
        engine, info = load(noise_checkpoint(11), slots=10, device=device.type, dtype="float32", decoder="exact")
        assert info.dtype == "float32"
        stages[device] = Stage(engine)
        _serve(stages[device], _requests())
        _serve(stages[device], _requests())  # slots, pages and graphs again
        engine.close()
    for request in _requests():
        name = request.request_id
        assert_same_rows(stages[DEVICE].rows[name], stages[CPU].rows[name], name)
        assert np.abs(stages[DEVICE].pcm(name).astype(int) - stages[CPU].pcm(name).astype(int)).max() <= 4


def test_a_whole_engine_in_its_default_precision_serves_and_gives_back(noise_checkpoint: Callable[[int], Path]) -> None:
    engine, info = load(noise_checkpoint(11), slots=10, kv_positions=10 * 1024, device=DEVICE.type)
    print(info.device, info.dtype, info.attention, info.page_size)
    stage = Stage(engine)
    for _ in range(2):
        _serve(stage, _requests())
        assert all(stage.ended[request.request_id].reason in ("stop", "length") for request in _requests())
        assert all(len(stage.pcm(request.request_id)) for request in _requests())
    engine.close()


def test_a_poisoned_request_fails_alone_in_a_graph(noise_checkpoint: Callable[[int], Path]) -> None:
    engine, _ = load(noise_checkpoint(11), slots=4, device=DEVICE.type, dtype="float32")
    stage = Stage(engine)
    requests = [Speak(n, f"{_TEXTS[0]} {n}", SMART, sampling=GREEDY, max_frames=30, paced=False) for n in "abc"]
    stage.speak(*requests)
    want = dict(stage.rows)
    for request in requests:
        stage.submit(request)
    for _ in range(12):
        stage.step()
    stream = engine._utterances["b"].stream
    engine._runner._keys[:, stream.pages[(stream.prompt_positions + 5) // engine._scheduler.pool.page_size]] = torch.nan
    stage.drain()
    assert stage.ended["b"].reason == "failed"
    for name in "ac":
        assert_same_rows(stage.rows[name], want[name], name)
    assert torch.isfinite(engine._runner._keys).all()
    stage.assert_idle()
    engine.close()
