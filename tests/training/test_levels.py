"""Scope: what the evaluation says of a wave's levels."""

import numpy as np
import pytest

from training.levels import Levels

SECOND = 24_000


def tone(seconds: float) -> np.ndarray:
    return (0.2 * np.sin(np.arange(int(seconds * SECOND)) * 2 * np.pi / 240)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SECOND), np.float32)


def test_pauses_do_not_count_as_speech_and_the_longest_is_found() -> None:
    levels = Levels.of(np.concatenate([silence(0.1), tone(1), silence(0.7), tone(1), silence(0.2)]))
    assert levels.speech == pytest.approx(0.2 / np.sqrt(2), rel=1e-3)
    assert levels.pause_s == pytest.approx(0.7)
    assert (levels.onset, levels.peak) == (0.0, pytest.approx(0.2))


def test_a_click_at_the_start_and_an_offset_are_seen() -> None:
    wave = np.concatenate([silence(0.1), tone(1)])
    wave[3] = 0.5
    assert Levels.of(wave).onset == 0.5
    assert Levels.of(wave + np.float32(0.01)).offset == pytest.approx(0.01, abs=1e-3)


def test_silence_alone_has_no_speech() -> None:
    assert Levels.of(silence(1)) == Levels(0.0, 0.0, 0.0, 0.0, 1.0)


def test_the_worst_of_several_is_reported() -> None:
    loud, offset = Levels(0.1, 0.5, 0.001, 0.0, 0.2), Levels(0.2, 0.3, -0.02, 0.01, 0.1)
    assert Levels.worst([loud, offset]) == Levels(pytest.approx(0.15), 0.5, -0.02, 0.01, 0.2)
