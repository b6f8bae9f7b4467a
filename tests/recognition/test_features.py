"""Scope: what Whisper is shown of a sound, against transformers."""

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from realtime.recognition.features import log_mel
from tests.codec_stream.signals import voiced_sound

SOUND = (voiced_sound(4 * 16000, rate=16000) / 32768).astype(np.float32)


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize(("seconds", "frames"), [(4.0, 3000), (4.0, 500), (1.237, 226), (0.01, 102)])
def test_features_are_those_of_transformers_whatever_the_context(bands: int, seconds: float, frames: int) -> None:
    samples = SOUND[: round(seconds * 16000)]
    oracle = WhisperFeatureExtractor(feature_size=bands)(samples, sampling_rate=16000, return_tensors="np")
    ours = log_mel(samples, bands, frames)
    assert ours.shape == (bands, frames) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, oracle.input_features[0][:, :frames], atol=1e-5)


def test_what_does_not_fit_the_frames_is_left_out() -> None:
    assert log_mel(SOUND, 80, 100).shape == (80, 100)
