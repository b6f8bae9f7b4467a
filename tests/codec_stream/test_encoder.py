"""Scope: `Encoder` against transformers' `encode`, and the sentences it refuses with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.codec_config import CodecConfig
from codec_stream.encoder import Encoder
from codec_stream.errors import AudioError, CheckpointError
from codec_stream.weights import load_codec_weights

RATE = 24000
HOP = 960


@pytest.fixture(scope="module")
def encoder(codec_folder: Path, codec_config: CodecConfig) -> Encoder:
    return Encoder(codec_config, load_codec_weights(codec_folder))


def speech_like(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Noise under a slow envelope with a gliding tone in it."""
    time = np.arange(samples) / RATE
    noise = np.random.default_rng(seed).standard_normal(samples) * np.abs(np.sin(time * 7))
    return (0.1 * noise + 0.2 * np.sin(2 * np.pi * (120 + 40 * time) * time)).astype(np.float32)


def reference_codes(model: Any, pcm: NDArray[np.float32]) -> NDArray[np.int64]:
    with torch.no_grad():
        codes: NDArray[np.int64] = model.encode(torch.from_numpy(pcm)[None, None]).audio_codes[0].T.numpy()
    return codes


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(int(0.1 * RATE), 3 * RATE), seed=st.integers(0, 3))
@example(samples=HOP, seed=0)
@example(samples=30 * RATE, seed=0)
@example(samples=30 * RATE - 1, seed=1)
def test_codes_equal_those_of_transformers_for_every_length(
    encoder: Encoder, reference_codec: Any, samples: int, seed: int
) -> None:
    pcm = speech_like(samples, seed)
    codes = encoder.encode(pcm)
    assert codes.dtype == np.int16
    np.testing.assert_array_equal(codes, reference_codes(reference_codec, pcm))


def test_codes_equal_those_of_transformers_at_every_length_within_a_frame(
    encoder: Encoder, reference_codec: Any
) -> None:
    # Steps of 8 samples, the first stride: every pairing of the two branches' lengths and both paddings occur.
    lengths = set()
    for samples in range(3 * HOP, 4 * HOP, 8):
        pcm = speech_like(samples)
        codes = encoder.encode(pcm)
        lengths.add(len(codes))
        np.testing.assert_array_equal(codes, reference_codes(reference_codec, pcm))
    assert lengths == {3, 4}


def test_codes_of_speech_like_audio_vary_in_every_codebook(encoder: Encoder) -> None:
    codes = encoder.encode(speech_like(2 * RATE))
    assert all(len(np.unique(codes[:, book])) > 10 for book in range(codes.shape[1]))


def test_silence_encodes_like_the_reference(encoder: Encoder, reference_codec: Any) -> None:
    pcm = np.zeros(RATE, dtype=np.float32)
    np.testing.assert_array_equal(encoder.encode(pcm), reference_codes(reference_codec, pcm))


def test_less_than_one_frame_is_refused(encoder: Encoder) -> None:
    with pytest.raises(AudioError, match="959 samples, less than one codec frame of 960"):
        encoder.encode(np.zeros(HOP - 1, dtype=np.float32))


@pytest.mark.parametrize("pcm", [np.zeros((1, RATE), np.float32), np.zeros(RATE, np.int16), np.zeros(RATE)])
def test_audio_that_is_not_mono_float32_is_refused(encoder: Encoder, pcm: NDArray[Any]) -> None:
    with pytest.raises(AudioError, match="expected mono float32 audio"):
        encoder.encode(pcm)


def test_a_missing_weight_is_named(codec_folder: Path, codec_config: CodecConfig) -> None:
    weights = load_codec_weights(codec_folder)
    del weights["encoder_semantic.conv.weight"]
    with pytest.raises(CheckpointError, match=r"lack encoder_semantic\.conv\.weight"):
        Encoder(codec_config, weights)


def test_a_weight_of_another_shape_is_named(codec_folder: Path, codec_config: CodecConfig) -> None:
    with pytest.raises(CheckpointError, match=r"codebook\.embed has shape \(1024, 16\)"):
        Encoder(replace(codec_config, codebook_size=512), load_codec_weights(codec_folder))


def test_branches_that_do_not_fit_together_are_refused(codec_folder: Path, codec_config: CodecConfig) -> None:
    mismatched = Encoder(replace(codec_config, semantic_downsample_factor=1), load_codec_weights(codec_folder))
    with pytest.raises(CheckpointError, match="26 and 50 frames for 24000 samples"):
        mismatched.encode(speech_like(RATE))
