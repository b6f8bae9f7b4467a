"""Scope: pitch as codes, rows, the vocoder and the quantizer, on the stand-in's speech; no packages are needed."""

import numpy as np
import pytest
import torch

from realtime.text import to_phonemes
from training.causal import CausalDecoder
from training.codec import RATIOS
from training.speech import HOP, SAMPLE_RATE
from training.voice import oscillator, phase, pitch, quantizer, vocoder
from training.voice.phones import to_teacher
from training.voice.rows import BANDS, FLOOR, MELS, PARTS, ROW, noise_share, voiced
from training.voice.stand_in import StandIn
from training.voice.teacher import settled
from training.voice.text import clauses, gate_sentences, held_out
from training.voice.utterance import Utterance


@pytest.fixture(scope="module")
def utterance() -> Utterance:
    return StandIn().say(to_phonemes("Where did you leave the other one?"), "am")


def test_pitch_codes_give_the_knots_back_but_for_whole_cycles() -> None:
    knots = np.cumsum(np.random.default_rng(0).integers(40, 200, 50))
    again = phase.from_codes(phase.codes(knots))
    assert (np.diff(again) == np.diff(knots)).all()
    assert ((again - knots) % phase.SIXTEENTHS == 0).all()


def test_a_place_follows_from_the_length_and_the_place_before() -> None:
    length, place = phase.codes(np.cumsum(np.random.default_rng(1).integers(40, 200, 50))).T
    assert ((place[:-1] + length[1:] - place[1:]) % phase.SIXTEENTHS == 0).all()


def test_where_length_and_place_disagree_the_place_is_believed() -> None:
    pairs = phase.codes(np.cumsum(np.full(20, 100)))
    pairs[7, 0] += 3
    assert (phase.from_codes(pairs)[1:] % phase.SIXTEENTHS == pairs[:, 1]).all()


def test_the_phase_at_samples_passes_through_the_knots_without_a_jump() -> None:
    knots = np.cumsum(np.random.default_rng(2).integers(60, 140, 30))
    cycles = phase.at_samples(knots)
    assert np.allclose(cycles[::HOP], knots[:-1] / phase.SIXTEENTHS)
    speed = np.diff(cycles) * SAMPLE_RATE
    assert speed.min() > 50 and speed.max() < 300
    assert np.abs(np.diff(speed)).max() < 1.0


def test_unvoiced_stretches_are_bridged_by_straight_lines_in_the_logarithm() -> None:
    assert np.allclose(phase.joined(np.array([0.0, 100.0, 0.0, 400.0, 0.0])), [100, 100, 200, 400, 400])
    assert (phase.joined(np.zeros(4)) == phase.MIDDLE_HZ).all()


def test_the_tracker_finds_the_pitch_that_the_vocoder_was_given(utterance: Utterance) -> None:
    apart = pitch.cents(pitch.track(utterance.wave()), utterance.f0)
    assert len(apart) > 50
    assert np.median(apart) < 10 and np.quantile(apart, 0.9) < 60


def test_the_vocoder_gives_the_same_samples_twice_and_refuses_rows_that_do_not_fit(utterance: Utterance) -> None:
    assert (utterance.wave() == utterance.wave()).all()
    assert len(utterance.wave()) == utterance.frames * HOP
    with pytest.raises(ValueError, match="do not fit"):
        vocoder.synthesise(utterance.rows[:-1], utterance.knots())


def test_another_voice_from_the_same_rows_is_higher_by_the_ratio(utterance: Utterance) -> None:
    apart = pitch.cents(pitch.track(utterance.wave(ratio=1.5, warp=1.1)), 1.5 * utterance.f0)
    assert np.median(apart) < 15


def test_an_unvoiced_row_is_all_noise_and_a_voiced_one_is_not() -> None:
    rows = np.zeros((2, ROW))
    rows[1, MELS:] = [-3.0, -2.0, -1.0]
    assert list(voiced(rows)) == [False, True]
    share = noise_share(rows)
    assert (share[0] == 1).all()
    assert share[1, 0] < 1e-5 and share[1, -1] == 1


def test_more_books_and_a_wider_beam_come_nearer() -> None:
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((PARTS * 900, ROW)).astype(np.float32)
    rows[:, MELS:] = -np.abs(rows[:, MELS:]) - 1
    fitted = quantizer.fit(rows[: PARTS * 700], books=3, dims=24, rounds=3)
    unseen = rows[PARTS * 700 :]
    apart = [quantizer.distortion(fitted, unseen, beam) for beam in (1, 8)]
    assert apart[1] < apart[0]
    fewer = quantizer.Quantizer(fitted.mean, fitted.basis, fitted.books[:1])
    assert quantizer.distortion(fewer, unseen) > apart[1]


def test_a_wide_beam_finds_the_best_of_all_combinations() -> None:
    draw = np.random.default_rng(3)
    books = draw.standard_normal((2, 6, 3)).astype(np.float32)
    points = draw.standard_normal((40, 3)).astype(np.float32)
    sums = (books[0][:, None] + books[1][None]).reshape(-1, 3)
    best = ((points[:, None] - sums) ** 2).sum(2).argmin(1)
    found = quantizer.search(points, books, beam=6)
    assert (found[:, 0] * 6 + found[:, 1] == best).all()


def test_codes_keep_what_is_voiced_apart_from_what_is_not(utterance: Utterance) -> None:
    fitted = quantizer.fit(utterance.rows, books=4, dims=16, rounds=4)
    again = fitted.rows(fitted.encode(utterance.rows))
    assert (voiced(again) == voiced(utterance.rows)).mean() > 0.98
    assert again[:, :MELS].min() > np.log(FLOOR) - 3
    assert again.shape == (utterance.frames * PARTS, MELS + BANDS)


def test_the_oscillator_holds_cosine_and_sine_of_the_pitch_phase() -> None:
    torch.manual_seed(0)
    decoder = CausalDecoder(12, 64, RATIOS)
    oscillator.wire(decoder, gain=1.0)
    knots = np.cumsum(np.random.default_rng(0).integers(60, 240, 30))
    length, place = phase.codes(knots).T / phase.SIXTEENTHS
    latents = torch.zeros(1, 12, len(length))
    latents[0, -2], latents[0, -1] = torch.from_numpy(length), torch.from_numpy(place)
    blocks = decoder.block
    with torch.no_grad():
        x = blocks[1](blocks[0](decoder.conv1(latents)))
        found = blocks[2].conv_t1(blocks[2].snake1(x))[0, :2].numpy()
    angle = 2 * np.pi * phase.at_samples(knots)[:: HOP // 160]
    inner = slice(4 * 160, -2 * 160)
    for got, wanted in zip(found, (np.cos(angle), np.sin(angle)), strict=True):
        assert np.abs(got - wanted)[inner].max() < 0.03


def test_what_is_wired_stays_while_the_rest_is_trained() -> None:
    torch.manual_seed(0)
    decoder = CausalDecoder(12, 64, RATIOS)
    frozen = oscillator.wire(decoder)
    before = [parameter[part].clone() for parameter, part in frozen]
    other = decoder.conv1.conv.weight[5].clone()
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=0.01, weight_decay=0.0)
    for _ in range(2):
        optimiser.zero_grad()
        decoder(torch.randn(1, 12, 8)).square().mean().backward()
        oscillator.hold(frozen)
        optimiser.step()
    assert all(torch.equal(parameter[part], was) for (parameter, part), was in zip(frozen, before, strict=True))
    assert not torch.equal(decoder.conv1.conv.weight[5], other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The party is better.", "ðə pˈɑɹɾi ɪz bˈɛɾəɹ."),
        ("A bird and an egg.", "ɐ bˈɜɹd ænd ɐn ˈɛɡ."),
        ("Is it certain?", "ɪz ɪt sˈɜɹtən?"),
    ],
)
def test_the_teacher_reads_flaps_r_vowels_and_unstressed_words(text: str, said: str) -> None:
    notation = to_phonemes(text)
    parts = to_teacher(notation)
    assert len(parts) == len(notation)
    assert "".join(parts) == said


def test_pitch_that_comes_from_nothing_and_goes_back_there_takes_the_value_within() -> None:
    f0 = np.array([0, 55, 90, 150, 148, 144, 120, 60, 0, 0, 100, 102], float)
    assert settled(f0).tolist() == [0, 150, 150, 150, 148, 144, 144, 144, 0, 0, 100, 102]


def test_a_fall_of_the_pitch_that_a_voice_can_make_stays() -> None:
    f0 = np.concatenate([np.zeros(3), 160 * 0.93 ** np.arange(14), np.zeros(3)])
    assert (settled(f0) == f0).all() and (settled(f0[::-1]) == f0[::-1]).all()


def test_no_held_out_sentence_is_trained_on() -> None:
    hidden = {text.lower() for texts in held_out().values() for text in texts}
    assert len(gate_sentences()) == 200 and len(hidden) == 220
    assert not hidden & {text.lower() for text in clauses(300, 7)}


def test_some_texts_are_two_or_three_clauses_in_one_breath() -> None:
    texts = clauses(400, 7)
    assert len(set(texts)) == 400
    assert 0.15 < sum(len(text) > 70 for text in texts) / 400 < 0.4
    assert max(map(len, texts)) > 110
    assert not [text for text in texts if " A " in text or "  " in text]
