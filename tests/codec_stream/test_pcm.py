"""Scope: PCM16 conversion rounds, clips and never wraps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec_stream.pcm import to_pcm16


def test_full_scale_maps_to_the_ends_of_the_range_and_beyond_is_clipped() -> None:
    audio = np.array([0.0, 1.0, -1.0, 1.5, -1.5, 1e30, -1e30, np.inf, -np.inf], dtype=np.float32)
    steps = np.frombuffer(to_pcm16(audio), dtype="<i2")
    assert steps.tolist() == [0, 32767, -32767, 32767, -32768, 32767, -32768, 32767, -32768]


def test_values_are_rounded_not_cut() -> None:
    audio = np.array([0.6, -0.6, 0.4, -0.4], dtype=np.float64) / 32767
    assert np.frombuffer(to_pcm16(audio), dtype="<i2").tolist() == [1, -1, 0, 0]


def test_samples_are_little_endian() -> None:
    assert to_pcm16(np.array([256 / 32767])) == b"\x00\x01"


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        to_pcm16(np.array([0.0, np.nan], dtype=np.float32))


@given(audio=st.lists(st.floats(-2, 2, width=32)))
def test_conversion_is_within_half_a_step_of_the_clipped_audio(audio: list[float]) -> None:
    steps = np.frombuffer(to_pcm16(np.array(audio, dtype=np.float32)), dtype="<i2")
    expected = np.clip(np.array(audio) * 32767, -32768, 32767)
    assert np.all(np.abs(steps - expected) <= 0.5 + 1e-2)
