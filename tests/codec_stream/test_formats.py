"""Scope: speech in every wire format: exact where it can be, the same for any chunks, refused in a clear sentence."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_stream.formats import ENCODINGS, RATES_HZ, SAMPLE_BYTES, Encoding, SpeechDecoder, SpeechEncoder
from tests.codec_stream.signals import cuts, level_db, voiced_sound

SPEECH = voiced_sound(12345)
# What 8-bit companding leaves of speech: about 38 dB above its error.
SIGNAL_TO_ERROR_DB: dict[Encoding, float] = {"pcm_s16le": 70, "pcm_f32le": 70, "pcm_mulaw": 34, "pcm_alaw": 34}


def encoded(pcm16: bytes, encoding: Encoding, rate: int) -> bytes:
    encoder = SpeechEncoder(encoding, rate)
    return encoder.push(pcm16) + encoder.flush()


def decoded(audio: bytes, encoding: Encoding, rate: int) -> bytes:
    decoder = SpeechDecoder(encoding, rate)
    return decoder.push(audio) + decoder.flush()


@given(chunks=st.lists(st.binary(max_size=60).map(lambda data: data + data)))
def test_the_house_format_passes_untouched(chunks: list[bytes]) -> None:
    encoder, decoder = SpeechEncoder("pcm_s16le", 24000), SpeechDecoder("pcm_s16le", 24000)
    assert [encoder.push(chunk) for chunk in chunks] == chunks
    assert [decoder.push(chunk) for chunk in chunks] == chunks
    assert encoder.flush() == decoder.flush() == b""


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    rate=st.sampled_from(RATES_HZ),
    sizes=st.lists(st.integers(0, 700), max_size=12),
)
def test_any_chunks_give_the_bytes_of_the_whole(encoding: Encoding, rate: int, sizes: list[int]) -> None:
    pcm16 = SPEECH[:4000].tobytes()
    whole = encoded(pcm16, encoding, rate)
    encoder, decoder = SpeechEncoder(encoding, rate), SpeechDecoder(encoding, rate)
    pieces = [encoder.push(pcm16[2 * cut.start : 2 * cut.stop]) for cut in cuts(4000, sizes)]
    assert b"".join([*pieces, encoder.flush()]) == whole
    size = SAMPLE_BYTES[encoding]
    back = [decoder.push(whole[size * cut.start : size * cut.stop]) for cut in cuts(len(whole) // size, sizes)]
    assert b"".join([*back, decoder.flush()]) == decoded(whole, encoding, rate)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate", RATES_HZ)
def test_speech_that_went_out_comes_back_at_its_length_and_level(encoding: Encoding, rate: int) -> None:
    wire = encoded(SPEECH.tobytes(), encoding, rate)
    samples = len(wire) // SAMPLE_BYTES[encoding]
    assert samples == ceil(len(SPEECH) * rate / 24000)
    back = np.frombuffer(decoded(wire, encoding, rate), dtype="<i2")
    assert len(back) == ceil(samples * 24000 / rate)
    assert abs(level_db(back, SPEECH)) < 0.1
    if rate >= 24000:  # below, the highest harmonics are gone
        # Away from the ends, where the sound starts and stops with all its harmonics at once.
        heard, said = back[300:-300].astype(float), SPEECH[300 : len(back) - 300].astype(float)
        shortest = min(len(heard), len(said))
        assert level_db(said, heard[:shortest] - said[:shortest]) > SIGNAL_TO_ERROR_DB[encoding] - (rate != 24000) * 25


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_phone_gets_all_but_the_last_three_milliseconds(encoding: Encoding) -> None:
    encoder = SpeechEncoder(encoding, 8000)
    ready = len(encoder.push(SPEECH[:480].tobytes())) // SAMPLE_BYTES[encoding]
    assert 160 - ready <= 26


def test_float_samples_are_fractions_of_full_scale() -> None:
    pcm16 = np.array([0, 1, -32768, 32767, 16384], dtype="<i2").tobytes()
    assert np.frombuffer(encoded(pcm16, "pcm_f32le", 24000), dtype="<f4").tolist() == [
        0.0,
        1 / 32768,
        -1.0,
        32767 / 32768,
        0.5,
    ]


def test_every_sample_survives_the_way_through_float_exactly() -> None:
    pcm16 = np.arange(-32768, 32768).astype("<i2").tobytes()
    assert decoded(encoded(pcm16, "pcm_f32le", 24000), "pcm_f32le", 24000) == pcm16


def test_float_samples_beyond_full_scale_are_clipped() -> None:
    audio = np.array([1.0, -1.5, np.inf, -np.inf, 3e38], dtype="<f4").tobytes()
    assert np.frombuffer(decoded(audio, "pcm_f32le", 24000), dtype="<i2").tolist() == [
        32767,
        -32768,
        32767,
        -32768,
        32767,
    ]


def test_a_sample_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="holds NaN samples"):
        SpeechDecoder("pcm_f32le", 24000).push(np.array([0, np.nan], dtype="<f4").tobytes())


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
def test_part_of_a_sample_is_refused(encoding: Encoding) -> None:
    with pytest.raises(ValueError, match=f"{encoding} comes in whole samples"):
        SpeechDecoder(encoding, 8000).push(bytes(5))
    with pytest.raises(ValueError, match="pcm_s16le comes in whole samples"):
        SpeechEncoder(encoding, 8000).push(bytes(5))


def test_formats_that_are_not_served_are_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="encoding is 'opus'; use one of pcm_s16le, "):
        SpeechEncoder("opus", 8000)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sample rate is 11025 Hz; use one of 8000, "):
        SpeechDecoder("pcm_mulaw", 11025)


def test_a_flushed_stream_takes_no_more() -> None:
    encoder, decoder = SpeechEncoder("pcm_mulaw", 8000), SpeechDecoder("pcm_mulaw", 8000)
    encoder.flush(), decoder.flush()
    with pytest.raises(ValueError, match="was flushed"):
        encoder.push(bytes(2))
    with pytest.raises(ValueError, match="was flushed"):
        decoder.flush()
