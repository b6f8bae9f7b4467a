"""Scope: one-shot and streaming resampling agree sample by sample, and keep tones where they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.resample import StreamResampler, resample

RATES = [8000, 16000, 22050, 24000, 44100, 48000]


def tone(rate: int, seconds: float, frequency_hz: float = 440.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    from_rate=st.sampled_from(RATES),
    to_rate=st.sampled_from(RATES),
    chunks=st.lists(st.integers(0, 2000), max_size=20),
)
def test_chunks_of_any_size_give_the_samples_of_one_shot(from_rate: int, to_rate: int, chunks: list[int]) -> None:
    pcm = np.random.default_rng(0).standard_normal(sum(chunks)).astype(np.float32)
    stream = StreamResampler(from_rate, to_rate)
    ends = np.cumsum(chunks, dtype=np.int64)
    pieces = [stream.push(pcm[end - size : end]) for size, end in zip(chunks, ends, strict=True)]
    np.testing.assert_array_equal(np.concatenate([*pieces, stream.flush()]), resample(pcm, from_rate, to_rate))


@pytest.mark.parametrize("from_rate", RATES)
@pytest.mark.parametrize("to_rate", RATES)
def test_a_tone_keeps_its_pitch_level_and_phase(from_rate: int, to_rate: int) -> None:
    resampled = resample(tone(from_rate, 0.5), from_rate, to_rate)
    expected = tone(to_rate, 0.5)
    assert abs(len(resampled) - len(expected)) <= 1
    middle = slice(to_rate // 10, 4 * to_rate // 10)
    np.testing.assert_allclose(resampled[middle], expected[middle], atol=1e-3)


@pytest.mark.parametrize(
    ("from_rate", "to_rate"),
    [(16000, 24000), (48000, 24000), (8000, 24000), (24000, 16000), (24000, 48000), (24000, 8000)],
)
def test_the_stream_lags_no_more_than_documented(from_rate: int, to_rate: int) -> None:
    stream = StreamResampler(from_rate, to_rate)
    pushed = received = 0
    limit_ms = 75 if 8000 in (from_rate, to_rate) else 40
    for _ in range(100):
        pushed += from_rate // 100
        received += len(stream.push(np.zeros(from_rate // 100, dtype=np.float32)))
        assert 1000 * (pushed / from_rate - received / to_rate) <= limit_ms


def test_a_flushed_stream_takes_no_more() -> None:
    stream = StreamResampler(24000, 16000)
    stream.flush()
    with pytest.raises(ValueError, match="was flushed"):
        stream.push(np.zeros(10, dtype=np.float32))
    with pytest.raises(ValueError, match="was flushed"):
        stream.flush()


def test_equal_rates_return_a_copy() -> None:
    pcm = tone(24000, 0.01)
    copied = resample(pcm, 24000, 24000)
    np.testing.assert_array_equal(copied, pcm)
    assert not np.shares_memory(copied, pcm)


def test_audio_that_is_not_mono_float_is_refused() -> None:
    with pytest.raises(ValueError, match="expected mono float audio"):
        resample(np.zeros((10, 2), dtype=np.float32), 24000, 16000)
