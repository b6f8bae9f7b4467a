"""Scope: speech at another speed keeps pitch and level, has the length it owes, and is never held back for long."""

import gc
import threading

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.stretch import Stretcher
from tests.codec_stream.signals import cuts, level_db, tone, voiced_sound

RATE = 24000
SPEEDS = [0.25, 0.3, 0.49, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0]
# Milliseconds of speech kept back, when it comes in pieces of 10 ms.
HELD_MS = dict(zip(SPEEDS, [70, 70, 80, 50, 50, 60, 55, 60, 60, 80, 90, 110], strict=True))


def stretched(pcm: NDArray[np.int16], speed: float) -> NDArray[np.int16]:
    stretcher = Stretcher(speed, RATE)
    return np.frombuffer(stretcher.push(pcm.tobytes()) + stretcher.flush(), dtype="<i2")


def harmonics(pitch_hz: float, seconds: float) -> NDArray[np.int16]:
    parts = [tone(pitch_hz * k, RATE, seconds, 4000 / k).astype(int) for k in range(1, 15)]
    return np.sum(parts, axis=0).astype(np.int16)


def dominant_hz(pcm: NDArray[np.int16]) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)), 1 << 19))
    return float(np.argmax(spectrum)) * RATE / (1 << 19)


def pitch_hz(pcm: NDArray[np.int16]) -> float:
    """Where the autocorrelation of the middle 100 ms peaks, between 90 and 400 Hz."""
    part = pcm[len(pcm) // 2 :][: RATE // 10].astype(np.float64)
    lags = np.arange(RATE // 400, RATE // 90)
    return RATE / float(lags[np.argmax([np.dot(part[:-lag], part[lag:]) / (len(part) - lag) for lag in lags])])


@given(chunks=st.lists(st.binary(max_size=60).map(lambda data: data + data)))
def test_speed_one_passes_bytes_untouched(chunks: list[bytes]) -> None:
    stretcher = Stretcher(1.0, RATE)
    assert [stretcher.push(chunk) for chunk in chunks] == chunks
    assert stretcher.flush() == b""


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("samples", [0, 1, 100, 5000, 60001])
def test_the_duration_is_that_of_the_speed_to_the_sample(speed: float, samples: int) -> None:
    assert len(stretched(voiced_sound(samples), speed)) == round(samples / speed)


@pytest.mark.parametrize("speed", SPEEDS)
def test_pitch_and_level_are_kept(speed: float) -> None:
    steady, voice = tone(440, RATE, 2.0), harmonics(130, 2.0)
    assert abs(dominant_hz(stretched(steady, speed)) - 440) < 2
    assert abs(pitch_hz(stretched(voice, speed)) - 130) < 1.5
    for pcm in (steady, voice, voiced_sound(2 * RATE)):
        assert abs(level_db(stretched(pcm, speed), pcm)) < 0.5


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_tone_starts_and_ends_without_silence_or_click(speed: float) -> None:
    steady = tone(440, RATE, 1.0)
    fast = stretched(steady, speed).astype(int)
    steepest = int(np.abs(np.diff(steady.astype(int))).max())
    assert np.abs(np.diff(fast)).max() < 1.5 * steepest
    for edge in (fast[:240], fast[-240:]):
        assert abs(level_db(edge, steady)) < 1.5


@settings(max_examples=30, deadline=None)
@given(speed=st.sampled_from(SPEEDS), sizes=st.lists(st.integers(0, 3000), max_size=10))
def test_any_chunks_give_the_bytes_of_the_whole(speed: float, sizes: list[int]) -> None:
    pcm = voiced_sound(12000)
    stretcher = Stretcher(speed, RATE)
    pieces = [stretcher.push(pcm[cut].tobytes()) for cut in cuts(len(pcm), sizes)]
    assert b"".join([*pieces, stretcher.flush()]) == stretched(pcm, speed).tobytes()


@pytest.mark.parametrize("speed", SPEEDS)
def test_little_speech_is_kept_back(speed: float) -> None:
    stretcher, pcm = Stretcher(speed, RATE), voiced_sound(3 * RATE)
    received = 0
    for end in range(240, len(pcm) + 1, 240):
        received += len(stretcher.push(pcm[end - 240 : end].tobytes())) // 2
        assert 1000 * (end - received * speed) / RATE <= HELD_MS[speed] + 1


def test_a_stream_that_is_dropped_leaves_no_memory_and_no_thread() -> None:
    process, pcm = psutil.Process(), voiced_sound(4800).tobytes()

    def drop_some(count: int) -> int:
        for _ in range(count):
            Stretcher(0.4, RATE).push(pcm)
        return int(process.memory_info().rss)

    gc.disable()
    try:
        before, threads = drop_some(50), process.num_threads()
        after = drop_some(200)
    finally:
        gc.enable()
    assert after - before < 200 * 5000
    assert process.num_threads() <= max(threads, threading.active_count())


def test_speeds_that_are_not_served_and_broken_samples_are_refused() -> None:
    for speed in (0.2, 4.1, float("nan"), -1.0):
        with pytest.raises(ValueError, match=r"speed is .*, expected 0\.25 to 4"):
            Stretcher(speed, RATE)
    with pytest.raises(ValueError, match="whole samples"):
        Stretcher(1.5, RATE).push(b"\0")


@pytest.mark.parametrize("speed", [1.0, 1.5])
def test_a_flushed_stream_takes_no_more(speed: float) -> None:
    stretcher = Stretcher(speed, RATE)
    stretcher.flush()
    with pytest.raises(ValueError, match="was flushed"):
        stretcher.push(bytes(2))
    with pytest.raises(ValueError, match="was flushed"):
        stretcher.flush()
