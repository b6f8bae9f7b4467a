"""Scope: what is made up for missing G.711 and G.722 audio measures like the voice before it, and then ends."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from codec_stream.concealment import Concealer
from tests.codec_stream.signals import level_db, tone, voiced_sound

RATES = [8000, 16000]


def vowel(rate: int, seconds: float, pitch_hz: float = 130) -> NDArray[np.int16]:
    """A steady voice: 20 harmonics, the louder the nearer they are to 500 Hz, over faint noise."""
    time = np.arange(round(rate * seconds)) / rate
    harmonics = [k for k in range(1, 21) if k * pitch_hz < 0.45 * rate]
    loudness = [3000 / (1 + ((k * pitch_hz - 500) / 400) ** 2) for k in harmonics]
    sound = np.sum(
        [peak * np.sin(2 * np.pi * k * pitch_hz * time + k) for k, peak in zip(harmonics, loudness, strict=True)],
        axis=0,
    )
    pcm: NDArray[np.int16] = np.rint(sound + 20 * np.random.default_rng(1).standard_normal(len(time))).astype(np.int16)
    return pcm


def with_gaps(pcm: NDArray[np.int16], rate: int, every: int, lost: int, conceal: bool) -> NDArray[np.int16]:
    """`pcm` in packets of 20 ms, `lost` of `every` packets missing."""
    concealer, packet, heard = Concealer(rate), rate // 50, []
    for number in range(len(pcm) // packet):
        if number % every < lost and number >= every:
            heard.append(concealer.conceal(packet) if conceal else np.zeros(packet, dtype=np.int16))
        else:
            part = pcm[number * packet : (number + 1) * packet]
            heard.append(concealer.hear(part) if conceal else part)
    return np.concatenate(heard)


def bands_db(pcm: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    window = rate // 50
    windows = np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float64), window)[:: window // 2]
    power = np.abs(np.fft.rfft(windows * np.hanning(window))) ** 2
    edges = np.unique(np.round(np.geomspace(2, power.shape[1] - 1, 16)).astype(int))
    levels: NDArray[np.float64] = 10 * np.log10(np.add.reduceat(power, edges, axis=1) + 1e4)
    return levels


def distance_db(heard: NDArray[np.int16], whole: NDArray[np.int16], rate: int) -> float:
    whole = whole[: len(heard)]
    return float(np.sqrt(np.mean((bands_db(heard, rate) - bands_db(whole, rate)) ** 2)))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("lost", "better"), [(1, 0.35), (2, 0.6)])
def test_a_gap_in_a_voice_is_far_nearer_to_the_voice_than_silence_is(rate: int, lost: int, better: float) -> None:
    for sound in (voiced_sound(3 * rate, rate), vowel(rate, 3.0), vowel(rate, 3.0, pitch_hz=210)):
        made = distance_db(with_gaps(sound, rate, 10, lost, conceal=True), sound, rate)
        silent = distance_db(with_gaps(sound, rate, 10, lost, conceal=False), sound, rate)
        assert made < better * silent


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("pitch_hz", [70, 130, 250, 390])
def test_a_steady_voice_goes_on_in_phase(rate: int, pitch_hz: float) -> None:
    sound, packet = vowel(rate, 1.0, pitch_hz), rate // 50
    concealer = Concealer(rate)
    concealer.hear(sound[: 20 * packet])
    made = concealer.conceal(packet // 2)
    expected = sound[20 * packet : 20 * packet + packet // 2]
    assert level_db(made.astype(int) - expected, expected) < -8


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("pitch_hz", [70, 90])
def test_a_gap_soon_after_another_goes_on_in_phase_too(rate: int, pitch_hz: float) -> None:
    sound, packet = vowel(rate, 1.0, pitch_hz), rate // 50
    concealer = Concealer(rate)
    concealer.hear(sound[: 20 * packet])
    concealer.conceal(packet)
    concealer.hear(sound[21 * packet : 22 * packet])
    made = concealer.conceal(packet // 2)
    expected = sound[22 * packet : 22 * packet + packet // 2]
    assert level_db(made.astype(int) - expected, expected) < -6


@pytest.mark.parametrize("rate", RATES)
def test_the_level_holds_for_10_ms_and_is_gone_after_60(rate: int) -> None:
    concealer, sound = Concealer(rate), vowel(rate, 0.5)
    concealer.hear(sound)
    made = concealer.conceal(rate // 5)
    ms = rate // 1000
    assert abs(level_db(made[: 10 * ms], sound)) < 2
    levels = [level_db(made[start : start + 10 * ms], sound) for start in range(0, 60 * ms, 10 * ms)]
    assert all(later < earlier + 0.5 for earlier, later in pairwise(levels))
    assert levels[-1] < -15
    assert not made[60 * ms :].any()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lost", [1, 2, 5])
def test_there_is_no_click_where_concealment_starts_repeats_and_ends(rate: int, lost: int) -> None:
    for sound in (vowel(rate, 2.0), tone(300, rate, 2.0, 9000)):
        steepest = int(np.abs(np.diff(sound.astype(int))).max())
        heard = with_gaps(sound, rate, 12, lost, conceal=True).astype(int)
        assert np.abs(np.diff(heard)).max() < 1.4 * steepest


@pytest.mark.parametrize("rate", RATES)
def test_noise_is_concealed_at_its_level(rate: int) -> None:
    noise = np.rint(2000 * np.random.default_rng(2).standard_normal(rate)).astype(np.int16)
    concealer = Concealer(rate)
    concealer.hear(noise)
    assert abs(level_db(concealer.conceal(rate // 100), noise)) < 2.5


@pytest.mark.parametrize("rate", RATES)
def test_nothing_heard_yet_is_concealed_as_silence(rate: int) -> None:
    concealer = Concealer(rate)
    assert not concealer.conceal(rate // 50).any()
    concealer.hear(np.zeros(0, dtype=np.int16))
    heard = concealer.hear(vowel(rate, 0.02))
    assert abs(int(heard[0])) < 200


@pytest.mark.parametrize("rate", RATES)
def test_how_a_gap_is_cut_does_not_change_what_is_made_up(rate: int) -> None:
    whole, pieces, sound = Concealer(rate), Concealer(rate), vowel(rate, 0.5)
    whole.hear(sound)
    for start in range(0, len(sound), 37):  # history comes in pieces as well
        pieces.hear(sound[start : start + 37])
    made = [pieces.conceal(samples) for samples in (1, 0, 100, 7, 300)]
    np.testing.assert_array_equal(np.concatenate(made), whole.conceal(408))


@pytest.mark.parametrize("rate", RATES)
def test_full_scale_never_wraps_around(rate: int) -> None:
    loud = np.where(np.arange(rate) // (rate // 200) % 2, 32767, -32768).astype(np.int16)
    heard = with_gaps(loud, rate, 5, 1, conceal=True)
    assert abs(level_db(heard, loud)) < 1
