"""Scope: clips keep their tones; streams keep little back, let no alias through and do not depend on their chunks."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.resample import StreamResampler, resample
from tests.codec_stream.signals import cuts, level_db, tone

RATES = [8000, 16000, 22050, 24000, 44100, 48000]
HOUSE = 24000
PAIRS = [(HOUSE, rate) for rate in RATES] + [(rate, HOUSE) for rate in RATES if rate != HOUSE]


def streamed(pcm: NDArray[np.int16], from_rate: int, to_rate: int) -> NDArray[np.int16]:
    stream = StreamResampler(from_rate, to_rate)
    return np.concatenate([stream.push(pcm), stream.flush()])


def middle(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    return pcm[len(pcm) // 10 : -len(pcm) // 10]


@pytest.mark.parametrize("from_rate", RATES)
@pytest.mark.parametrize("to_rate", RATES)
def test_a_tone_in_a_clip_keeps_its_pitch_level_and_phase(from_rate: int, to_rate: int) -> None:
    resampled = resample((tone(440, from_rate, 0.5) / 32768).astype(np.float32), from_rate, to_rate)
    expected = tone(440, to_rate, 0.5) / 32768
    assert abs(len(resampled) - len(expected)) <= 1
    inner = slice(to_rate // 10, 4 * to_rate // 10)
    np.testing.assert_allclose(resampled[inner], expected[inner], atol=1e-3)


def test_a_clip_at_equal_rates_is_a_copy() -> None:
    pcm = np.linspace(-1, 1, 240, dtype=np.float32)
    copied = resample(pcm, HOUSE, HOUSE)
    np.testing.assert_array_equal(copied, pcm)
    assert not np.shares_memory(copied, pcm)


def test_a_clip_that_is_not_mono_float_is_refused() -> None:
    with pytest.raises(ValueError, match="expected mono float audio"):
        resample(np.zeros((10, 2), dtype=np.float32), HOUSE, 16000)


@settings(max_examples=100, deadline=None)
@given(pair=st.sampled_from(PAIRS), sizes=st.lists(st.integers(0, 700), max_size=12), last=st.integers(0, 700))
def test_any_chunks_give_the_bits_of_the_whole(pair: tuple[int, int], sizes: list[int], last: int) -> None:
    total = sum(sizes) + last
    pcm = np.random.default_rng(total).integers(-32768, 32768, total).astype(np.int16)
    stream = StreamResampler(*pair)
    pieces = [stream.push(pcm[cut]) for cut in cuts(total, sizes)]
    np.testing.assert_array_equal(np.concatenate([*pieces, stream.flush()]), streamed(pcm, *pair))


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 99, 4801])
def test_a_stream_keeps_its_duration(from_rate: int, to_rate: int, samples: int) -> None:
    assert len(streamed(np.ones(samples, dtype=np.int16), from_rate, to_rate)) == ceil(samples * to_rate / from_rate)


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_a_tone_in_a_stream_keeps_its_pitch_level_and_phase(from_rate: int, to_rate: int) -> None:
    resampled = streamed(tone(1000, from_rate, 0.5), from_rate, to_rate).astype(int)
    assert np.abs(middle(resampled - tone(1000, to_rate, 0.5))).max() <= 2


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_a_stream_keeps_back_less_than_three_and_a_third_milliseconds(from_rate: int, to_rate: int) -> None:
    stream = StreamResampler(from_rate, to_rate)
    pushed = received = 0
    for _ in range(300):
        pushed += 7
        received += len(stream.push(np.zeros(7, dtype=np.int16)))
        assert 1000 * (pushed / from_rate - received / to_rate) < 3.3


def test_telephone_speech_keeps_its_level() -> None:
    for frequency_hz in range(300, 3401, 100):
        to_phone = middle(streamed(tone(frequency_hz, HOUSE, 0.3), HOUSE, 8000))
        back = middle(streamed(tone(frequency_hz, 8000, 0.3), 8000, HOUSE))
        assert abs(level_db(to_phone, middle(tone(frequency_hz, 8000, 0.3)))) < 0.01
        assert abs(level_db(back, middle(tone(frequency_hz, HOUSE, 0.3)))) < 0.01


def test_no_tone_above_the_telephone_band_folds_into_it() -> None:
    for frequency_hz in range(4300, 12000, 100):
        pcm = tone(frequency_hz, HOUSE, 0.2)
        assert level_db(middle(streamed(pcm, HOUSE, 8000)), pcm) < -75


def test_telephone_speech_has_no_image_above_its_band() -> None:
    for frequency_hz in (300, 1000, 2000, 3000, 3400):
        resampled = middle(streamed(tone(frequency_hz, 8000, 1.0), 8000, HOUSE))
        spectrum = np.abs(np.fft.rfft(resampled * np.blackman(len(resampled))))
        above = spectrum[round(4300 * len(resampled) / HOUSE) :]
        assert 20 * np.log10(above.max() / spectrum.max()) < -75


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_a_full_scale_square_wave_is_clipped_and_never_wraps(from_rate: int, to_rate: int) -> None:
    square = np.repeat(np.array([32767, -32768] * 20, dtype=np.int16), from_rate // 200)
    resampled = streamed(square, from_rate, to_rate).astype(int)
    half_period = to_rate / 200
    for number in range(2, 38):
        inner = resampled[round((number + 0.2) * half_period) : round((number + 0.8) * half_period)]
        assert np.all(np.abs(inner - (32767 if number % 2 == 0 else -32768)) < 3000)


def test_a_flushed_stream_takes_no_more() -> None:
    stream = StreamResampler(HOUSE, 16000)
    stream.flush()
    with pytest.raises(ValueError, match="was flushed"):
        stream.push(np.zeros(10, dtype=np.int16))
    with pytest.raises(ValueError, match="was flushed"):
        stream.flush()


def test_a_stream_takes_mono_int16_only() -> None:
    with pytest.raises(ValueError, match="expected mono int16 audio"):
        StreamResampler(HOUSE, 8000).push(np.zeros(10, dtype=np.float32))
    with pytest.raises(ValueError, match="expected mono int16 audio"):
        StreamResampler(HOUSE, HOUSE).push(np.zeros((10, 2), dtype=np.int16))
