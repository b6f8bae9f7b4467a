"""Scope: masks, distributions and draws against transformers' processors and plain Python; RAS against its rule."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from transformers.models.higgs_audio_v2.generation_higgs_audio_v2 import HiggsAudioV2DelayPatternLogitsProcessor

from realtime.engine.runner import Runner
from realtime.engine.sampling import Alphabet, delay_masked, draw, filtered, repeats, uniform
from realtime.engine.slots import SlotSampling
from realtime.request import Sampling, Speak
from tests.engine.harness import SMART, Stage, assert_same_rows, load, unique

BOOKS, SIZE, BOS, EOS = 8, 1026, 1024, 1025
ALPHABET = Alphabet(BOOKS, SIZE, BOS, EOS)
AUDIO_BOS, AUDIO_OUT, AUDIO_DELAY = 3, 1, 2  # text ids, as good as any


def _p_value(counts: np.ndarray, expected: np.ndarray | float) -> float:
    """Of the chi-square test that `counts` come from `expected`."""
    statistic = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(counts) - 1
    return float(torch.special.gammaincc(torch.tensor(freedom / 2).double(), torch.tensor(statistic / 2).double()))


def _delay_processor() -> HiggsAudioV2DelayPatternLogitsProcessor:
    return HiggsAudioV2DelayPatternLogitsProcessor(
        delay_pattern=[k + 1 for k in range(BOOKS)],
        audio_bos_token_id=AUDIO_BOS,
        audio_eos_token_id=AUDIO_DELAY,
        audio_stream_bos_id=BOS,
        audio_stream_eos_id=EOS,
        num_codebooks=BOOKS,
        codebook_size=SIZE,
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 7)), min_size=1, max_size=3), st.integers(0, 1 << 30))
def test_delay_masks_are_those_of_transformers_along_whole_generations(ends: list[tuple[int, int]], seed: int) -> None:
    """Each stream draws its first EOS in some row and codebook, and all ids at random within the masks."""
    torch.manual_seed(seed)
    streams = len(ends)
    processor = _delay_processor()
    text_ids = torch.cat((torch.full((streams, 12), 9), torch.full((streams, 1), AUDIO_BOS)), 1)
    since_eos = torch.zeros(streams, dtype=torch.int64)
    forced = 0
    for row in range(32):
        logits = torch.randn(streams, BOOKS, SIZE)
        logits[..., EOS] -= 50.0  # only where we want it
        for stream, (end, book) in enumerate(ends):
            if row == max(end, book + 1):
                logits[stream, book, EOS] = 50.0
        want = processor(text_ids, logits.view(streams, -1)).view(streams, BOOKS, SIZE)
        got = delay_masked(logits, torch.full((streams,), row), since_eos, ALPHABET)
        assert torch.equal(got, want), f"row {row}"
        forced += int((got == -torch.inf).sum())
        ids = want.argmax(-1)
        has_eos, all_eos = (ids == EOS).any(1), (ids == EOS).all(1)
        since_eos = torch.where(since_eos > 0, since_eos + 1, has_eos.long())
        # the bookkeeping of transformers' `_sample`: the text id that stands for the row
        delayed = has_eos | (text_ids[:, -1] == AUDIO_DELAY)
        text_ids = torch.cat((text_ids, torch.where(delayed, AUDIO_DELAY, AUDIO_OUT)[:, None]), 1)
        if all_eos.all():
            break
    assert forced
    assert (since_eos > 0).all(), "an end was never drawn"


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.floats(0.2, 8.0),
    st.lists(
        st.tuples(st.floats(0.1, 2.0), st.integers(0, 64), st.one_of(st.just(1.0), st.floats(0.05, 0.999))),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
    st.integers(0, 12),
)
def test_probabilities_are_those_of_transformers_processors(
    seed: int, spread: float, parameters: list[tuple[float, int, float]], few: bool, row: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    streams = len(parameters)
    logits = torch.randn(streams, BOOKS, SIZE, generator=random) * spread
    since_eos = (
        torch.randint(0, 3, (streams,), generator=random) if row > BOOKS else torch.zeros(streams, dtype=torch.long)
    )
    scores = delay_masked(logits, torch.full((streams,), row), since_eos, ALPHABET)
    temperature, top_k, top_p = (torch.tensor(column) for column in zip(*parameters, strict=True))
    candidates = 64 if few and (top_k > 0).all() else SIZE
    probabilities, ids = filtered(scores, temperature.float(), top_k, top_p.float(), candidates)
    got = torch.zeros(streams, BOOKS, SIZE).scatter_(-1, ids, probabilities)
    compared = 0
    for stream, (t, k, p) in enumerate(parameters):
        want = TemperatureLogitsWarper(float(np.float32(t)))(None, scores[stream])
        if k:
            want = TopKLogitsWarper(k)(None, want)
        ranked = want.double().softmax(-1).sort(-1).values.cumsum(-1)
        if p < 1.0:
            want = TopPLogitsWarper(p)(None, want)
        want = want.softmax(-1)
        for book in range(BOOKS):
            # where the mass behind an id is the cut to the last bits, rounding decides, here and there
            if p < 1.0 and (ranked[book] - (1.0 - p)).abs().min() < 2e-6:
                continue
            compared += 1
            assert torch.allclose(got[stream, book], want[book], rtol=0, atol=1e-5)
            assert torch.equal(got[stream, book] > 0, want[book] > 0) or spread > 4.0
    assert compared


def _mix(state: int) -> int:
    state ^= state >> 16
    state = state * 0x85EBCA6B % 2**32
    state ^= state >> 13
    state = state * 0xC2B2AE35 % 2**32
    return state ^ (state >> 16)


def _uniform(seed: int, row: int, book: int, which: int) -> float:
    counter = (row * BOOKS + book) * 2 + which
    state = _mix((seed + 0x9E3779B9 * (counter + 1)) % 2**32)
    state = _mix(state ^ ((seed >> 32) % 2**32))
    state = _mix((state + counter) % 2**32)
    return ((state >> 9) + 0.5) / 2**23


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 5000), st.integers(0, 1))
def test_uniforms_are_those_of_the_hash_in_plain_python(seed: int, row: int, which: int) -> None:
    got = uniform(torch.tensor([seed]), torch.tensor([row]), BOOKS, which)[0].tolist()
    assert got == [_uniform(seed, row, book, which) for book in range(BOOKS)]


def _table(seeds: range, rows: int = 64) -> torch.Tensor:
    """[seeds, rows, books, 2]"""
    seed = torch.tensor(list(seeds)).repeat_interleave(rows)
    row = torch.arange(rows).repeat(len(seeds))
    both = [uniform(seed, row, BOOKS, which) for which in (0, 1)]
    return torch.stack(both, -1).view(len(seeds), rows, BOOKS, 2)


@pytest.mark.parametrize("first_seed", [0, 12345, 2**40])
def test_uniforms_fill_the_unit_interval_evenly(first_seed: int) -> None:
    values = _table(range(first_seed, first_seed + 100)).flatten().numpy()
    assert 0.0 < values.min() < 1e-4
    assert 1.0 - 1e-4 < values.max() < 1.0
    counts, _ = np.histogram(values, bins=100, range=(0, 1))
    assert _p_value(counts, len(values) / 100) > 1e-4


def test_the_largest_uniform_stays_below_one() -> None:
    largest = torch.tensor([2**23 - 1]).float() + 0.5
    assert (largest / 2**23 < 1.0).all()
    many = _table(range(3000)).flatten()
    assert many.max() < 1.0
    assert many.min() > 0.0


def test_neighbouring_seeds_rows_codebooks_and_draws_are_unrelated() -> None:
    values = _table(range(200)).double()
    for axis in range(4):
        length = values.shape[axis]
        left, right = values.narrow(axis, 0, length - 1).flatten(), values.narrow(axis, 1, length - 1).flatten()
        correlation = float(torch.corrcoef(torch.stack((left, right)))[0, 1])
        assert abs(correlation) < 5 / left.numel() ** 0.5, f"axis {axis}"
        pairs, _, _ = np.histogram2d(left.numpy(), right.numpy(), bins=10, range=((0, 1), (0, 1)))
        assert _p_value(pairs.flatten(), left.numel() / 100) > 1e-5, f"axis {axis}"


@given(st.integers(0, 1 << 30), st.integers(1, 200), st.floats(1e-7, 1 - 1e-7))
def test_a_draw_inverts_the_cumulative_distribution(seed: int, size: int, u: float) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(size, 0.3)) * (random.random(size) < 0.7)
    if not probabilities.any():
        probabilities[0] = 1.0
    index = int(draw(torch.tensor(probabilities).float(), torch.tensor(u).float()))
    cumulative = np.cumsum(probabilities) / probabilities.sum()
    assert probabilities[index] > 0, "an id that was filtered out"
    assert cumulative[index] >= u - 1e-5
    assert (cumulative[index - 1] if index else 0.0) <= u + 1e-5


def test_draws_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.25, 0.15, 0.08, 0.02])
    u = _table(range(50)).flatten()
    drawn = draw(probabilities.expand(len(u), -1), u)
    counts = torch.bincount(drawn, minlength=6).numpy()
    assert counts[1] == 0
    kept = counts[[0, 2, 3, 4, 5]]
    assert _p_value(kept, probabilities[[0, 2, 3, 4, 5]].numpy() * len(u)) > 1e-3


def test_repeats_count_within_one_codebook_and_never_the_stream_markers() -> None:
    window = torch.tensor([[5, 7, BOS, EOS], [5, 7, BOS, EOS], [7, 5, BOS, -1]])[None]
    alphabet = Alphabet(4, SIZE, BOS, EOS)
    assert repeats(torch.tensor([[5, 7, BOS, EOS]]), window, alphabet).tolist() == [[2, 2, 0, 0]]
    assert repeats(torch.tensor([[7, 6, 9, 9]]), window, alphabet).tolist() == [[1, 0, 0, 0]]


WINDOW, MAX_REPEATS = 7, 2


@pytest.fixture
def runner(tiny_checkpoint: Path) -> Iterator[Runner]:
    """A runner with RAS whose logits are scripted: `script[slot]` gives logits [K, V] by row."""
    from realtime.engine.attention import GatherAttention
    from realtime.engine.models.higgs_v2.backbone import Backbone
    from realtime.engine.models.higgs_v2.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(str(tiny_checkpoint))
    backbone = Backbone(checkpoint.config, checkpoint.weights(), torch.device("cpu"), torch.float32)
    yield Runner(
        backbone,
        GatherAttention(),
        slots=4,
        pages=64,
        page_size=16,
        positions_per_slot=512,
        ras_window=WINDOW,
        ras_max_repeats=MAX_REPEATS,
    )


def _script(slot: int, row: int) -> torch.Tensor:
    """Few likely codes, so that repeats abound; the same in every row of a slot, more or less."""
    random = torch.Generator().manual_seed(1000 * slot + row // 5)
    logits = torch.randn(BOOKS, SIZE, generator=random)
    logits[:, 10:14] += torch.tensor([9.0, 8.5, 8.0, 7.0])
    logits[:, EOS] = -30.0
    return logits


def _run_script(runner: Runner, samplings: dict[int, SlotSampling], rows: int) -> dict[int, np.ndarray]:
    for slot, sampling in samplings.items():
        runner.open_slot(slot, 4, list(range(1 + slot * 15, 16 + slot * 15)), sampling)
    slots, out = list(samplings), []
    for row in range(1, rows + 1):
        scripted = torch.stack([_script(slot, row) for slot in slots])
        runner.model.logits = lambda x, scripted=scripted: scripted.clone()  # type: ignore[method-assign, misc]
        out.append(runner.decode(slots).ids)
    del runner.model.logits
    return {slot: np.stack([ids[index] for ids in out]) for index, slot in enumerate(slots)}


def _ras_reference(slot: int, sampling: SlotSampling, rows: int) -> tuple[np.ndarray, int]:
    """transformers' rule, row by row in plain Python, with the engine's uniforms. Returns rows and resamplings."""
    history, again = [np.full(BOOKS, BOS)], 0
    for row in range(1, rows + 1):
        logits, ids = _script(slot, row), np.zeros(BOOKS, dtype=int)
        scores = delay_masked(logits[None], torch.tensor([row]), torch.tensor([0]), ALPHABET)[0]
        warped = TopKLogitsWarper(sampling.top_k)(None, TemperatureLogitsWarper(sampling.temperature)(None, scores))
        for book in range(BOOKS):
            if sampling.greedy:
                ids[book] = int(scores[book].argmax())
            else:
                ranked = warped[book].softmax(-1).sort(descending=True)
                cut = np.cumsum(ranked.values.numpy().astype(np.float64))
                place = np.searchsorted(cut, _uniform(sampling.seed, row, book, 0) * cut[-1])
                ids[book] = int(ranked.indices[place])
            window = [past[book] for past in history[-WINDOW:]]
            if sampling.ras and ids[book] not in (BOS, EOS) and window.count(ids[book]) >= MAX_REPEATS:
                again += 1
                plain = np.cumsum(logits[book].softmax(-1).numpy().astype(np.float64))
                ids[book] = int(np.searchsorted(plain, _uniform(sampling.seed, row, book, 1) * plain[-1]))
        history.append(ids)
    return np.stack(history[1:]), again


@pytest.mark.parametrize("greedy", [False, True])
def test_repetition_aware_sampling_follows_transformers_rule(runner: Runner, greedy: bool) -> None:
    samplings = {
        slot: SlotSampling(greedy=greedy, temperature=0.7, top_k=20, ras=slot != 2, seed=99 + slot) for slot in range(4)
    }
    got = _run_script(runner, samplings, 40)
    for slot, sampling in samplings.items():
        want, again = _ras_reference(slot, sampling, 40)
        assert np.array_equal(got[slot], want), f"slot {slot}"
        assert (again > 50) if sampling.ras else (again == 0)


def test_a_resampled_id_follows_the_unmodified_softmax(runner: Runner) -> None:
    """Greedy under a scripted favourite: the favourite twice, then fresh draws from the plain softmax."""
    favourite = torch.full((BOOKS, SIZE), -40.0)
    favourite[:, 10:14] = torch.tensor([2.0, 1.5, 1.0, 0.0])
    probabilities = favourite[0].softmax(-1)[10:14]
    counts = np.zeros(4)
    for seed in range(120):
        for slot in range(4):
            runner.open_slot(
                slot, 4, list(range(1 + slot * 15, 16 + slot * 15)), SlotSampling(ras=True, seed=seed * 4 + slot)
            )
        runner.model.logits = lambda x: favourite.expand(4, -1, -1).clone()  # type: ignore[method-assign, misc]
        rows = np.stack([runner.decode([0, 1, 2, 3]).ids for _ in range(10)])
        assert (rows[:2, :, 0] == 10).all()
        counts += np.bincount(rows[2, :, 0] - 10, minlength=4)  # codebook 0's third row is always drawn afresh
        assert (rows[7:9, :, 7] == 10).all(), "the BOS rows of codebook 7 do not count"
    del runner.model.logits
    assert _p_value(counts, probabilities.numpy() * counts.sum()) > 1e-3


def test_the_same_seed_gives_the_same_rows_alone_or_among_others_in_any_slot(tiny_checkpoint: Path) -> None:
    engine, _ = load(tiny_checkpoint, slots=6)
    stage = Stage(engine)
    kinds = [
        Sampling(top_k=40),
        Sampling(temperature=1.3, top_k=0, top_p=0.8),
        Sampling(greedy=True),
        Sampling(top_k=200),
    ]
    requests = [
        Speak(
            f"r{number}",
            "The same words for everyone.",
            SMART,
            sampling=kinds[number % 4],
            seed=number // 4,
            max_frames=20,
        )
        for number in range(12)
    ]
    alone = {}
    for request in requests:
        stage.speak(request)
        alone[request.request_id] = stage.rows[request.request_id]
    sampled = [rows for request, rows in zip(requests, alone.values(), strict=True) if not request.sampling.greedy]
    assert unique(sampled) == len(sampled), "seeds or parameters change nothing"
    random = np.random.default_rng(3)
    slots: dict[str, set[int]] = {request.request_id: set() for request in requests}
    for _ in range(4):
        queue = [requests[int(n)] for n in random.permutation(12)]
        while queue or engine.wake_at(stage.now) is not None:
            while queue and engine.gauges().slots < 6 and random.random() < 0.5:
                stage.submit(queue.pop())
            for name, utterance in engine._utterances.items():
                slots[name].add(utterance.stream.slot)
            stage.step()
        for name, rows in alone.items():
            assert_same_rows(stage.rows[name], rows, name)
    assert max(len(used) for used in slots.values()) > 1
    engine.close()
