"""Scope: what `read_reference` accepts, each sentence it refuses with, and WAV files written by us."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.audio_file import read_reference, wav_header, write_wav
from codec_stream.errors import AudioError

RATE = 24000


def tone(rate: int = RATE, seconds: float = 0.5) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def encoded(pcm: NDArray[np.float32], rate: int = RATE, kind: str = "WAV", subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def refusal(source: bytes | Path) -> str:
    with pytest.raises(AudioError) as caught:
        read_reference(source, sample_rate=RATE)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 200
    return message


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAVEX", "PCM_16"),
        ("FLAC", "PCM_S8"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
    ],
)
def test_plain_wav_and_flac_are_read(kind: str, subtype: str) -> None:
    pcm = read_reference(encoded(tone(), kind=kind, subtype=subtype), sample_rate=RATE)
    assert pcm.dtype == np.float32
    np.testing.assert_allclose(pcm, tone(), atol=0.01)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000, 192000])
def test_other_rates_are_resampled_without_change_of_pitch(rate: int) -> None:
    pcm = read_reference(encoded(tone(rate), rate), sample_rate=RATE)
    assert abs(len(pcm) - RATE // 2) <= 1
    middle = slice(RATE // 10, 4 * RATE // 10)
    np.testing.assert_allclose(pcm[middle], tone()[middle], atol=2e-3)


def test_stereo_is_averaged() -> None:
    stereo = np.stack([tone(), np.zeros_like(tone())], axis=1)
    np.testing.assert_allclose(read_reference(encoded(stereo), sample_rate=RATE), tone() / 2, atol=1e-3)


def test_a_path_is_read_like_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(encoded(tone()))
    np.testing.assert_array_equal(
        read_reference(path, sample_rate=RATE), read_reference(path.read_bytes(), sample_rate=RATE)
    )


def test_a_wav_of_unknown_length_is_read_to_its_end() -> None:
    pcm16 = (tone() * 32767).astype("<i2").tobytes()
    np.testing.assert_allclose(read_reference(wav_header(RATE) + pcm16, sample_rate=RATE), tone(), atol=1e-3)


def test_exactly_the_longest_clip_is_read_and_one_sample_more_is_refused() -> None:
    longest = np.full(30 * 8000, 0.1, dtype=np.float32)
    assert len(read_reference(encoded(longest, 8000), sample_rate=RATE)) == 30 * RATE
    assert "30.0 s long; cut it to at most 30 s" in refusal(encoded(np.append(longest, longest[:1]), 8000))


@pytest.mark.parametrize("kind", ["OGG", "AIFF", "AU", "RF64", "MP3"])
def test_other_formats_are_refused_by_their_first_bytes(kind: str) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(), RATE, format=kind)
    assert "neither a WAV nor a FLAC file" in refusal(buffer.getvalue())


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not audio at all", bytes(1000)])
def test_bytes_that_are_not_audio_are_refused(data: bytes) -> None:
    assert "neither a WAV nor a FLAC file" in refusal(data)


@pytest.mark.parametrize("subtype", ["ULAW", "IMA_ADPCM", "GSM610"])
def test_compressed_wav_is_refused(subtype: str) -> None:
    rate = 8000
    assert f"is WAV with {subtype} samples" in refusal(encoded(tone(rate), rate, subtype=subtype))


def test_more_than_two_channels_are_refused() -> None:
    assert "has 3 channels; mix it down" in refusal(encoded(np.stack([tone()] * 3, axis=1)))


@pytest.mark.parametrize("rate", [4000, 384000])
def test_rates_outside_8_to_192_khz_are_refused(rate: int) -> None:
    assert f"has a sample rate of {rate} Hz" in refusal(encoded(tone(rate), rate))


def test_a_clip_without_audio_is_refused() -> None:
    assert "only 0.00 s of audio" in refusal(encoded(np.zeros(0, dtype=np.float32)))


def test_a_silent_clip_is_refused() -> None:
    assert "is silent" in refusal(encoded(np.zeros(RATE, dtype=np.float32)))


def test_stereo_that_cancels_out_is_refused_as_silent() -> None:
    assert "is silent" in refusal(encoded(np.stack([tone(), -tone()], axis=1), subtype="FLOAT"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    pcm = tone()
    pcm[100] = value
    assert "not finite" in refusal(encoded(pcm, subtype="FLOAT"))


def test_samples_far_above_full_scale_are_refused() -> None:
    assert "times full scale" in refusal(encoded(tone() * 32767, subtype="FLOAT"))


def test_a_damaged_flac_is_refused() -> None:
    whole = encoded(tone(), kind="FLAC")
    assert "is damaged" in refusal(whole[: len(whole) // 2])


def test_a_flac_that_does_not_state_its_length_is_refused() -> None:
    data = bytearray(encoded(tone(), kind="FLAC"))
    data[8 + 13] &= 0xF0  # STREAMINFO: the low 36 bits from here are the number of samples, 0 for unknown.
    data[8 + 14 : 8 + 18] = bytes(4)
    assert "does not say how long it is" in refusal(bytes(data))


@pytest.mark.parametrize(("offset", "layout", "value"), [(22, "<H", 0), (22, "<H", 3000), (24, "<I", 0)])
def test_a_wav_header_that_makes_no_sense_is_refused(offset: int, layout: str, value: int) -> None:
    data = bytearray(encoded(tone()))
    struct.pack_into(layout, data, offset, value)
    assert "is damaged" in refusal(bytes(data))


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(encoded(tone()) + bytes(10 * 2**20))
    assert refusal(path) == "long.wav: is larger than 10 MiB; use a shorter clip or FLAC"
    assert "is larger than 10 MiB" in refusal(path.read_bytes())


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nobody.wav").startswith("nobody.wav: there is no such file")
    assert "there is no such file" in refusal(tmp_path)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["WAV", "FLAC"]),
    edits=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 3000),
)
def test_a_mangled_file_is_read_or_refused_but_nothing_else(
    kind: str, edits: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(encoded(tone(seconds=0.12), kind=kind))
    for position, value in edits:
        data[position] = value
    try:
        pcm = read_reference(bytes(data[:length] if length < 2500 else data), sample_rate=RATE)
    except AudioError:
        return
    assert np.isfinite(pcm).all()
    assert len(pcm) <= 30 * RATE + 1


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_written_wav_reads_back_exactly(tmp_path: Path, as_bytes: bool) -> None:
    pcm16 = (tone() * 32767).astype(np.int16)
    path = tmp_path / "out.wav"
    buffer = io.BytesIO()
    write_wav(path, pcm16.astype("<i2").tobytes() if as_bytes else pcm16, RATE)
    write_wav(buffer, pcm16, RATE)
    assert path.read_bytes() == buffer.getvalue()
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    np.testing.assert_array_equal(samples, pcm16)


def test_half_a_sample_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="whole samples"):
        write_wav(tmp_path / "out.wav", b"\x00", RATE)


def test_the_header_of_a_known_length_is_that_of_libsndfile() -> None:
    stereo = np.stack([tone()] * 2, axis=1)
    assert encoded(stereo, 48000)[:44] == wav_header(48000, channels=2, frames=len(stereo))


def test_a_length_beyond_32_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit a WAV file"):
        wav_header(RATE, frames=2**31)
