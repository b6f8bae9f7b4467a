"""Scope: every G.711 code of every 16-bit sample, against the ITU's reference algorithm and FFmpeg's tables."""

from collections.abc import Callable

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from codec_stream.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_CODE = np.arange(256).astype(np.uint8)
Encode = Callable[[NDArray[np.int16]], NDArray[np.uint8]]
Decode = Callable[[NDArray[np.uint8]], NDArray[np.int16]]


def itu_mulaw(sample: int) -> int:
    """Recommendation G.191, `ulaw_compress`, one sample."""
    absolute = min(((~sample if sample < 0 else sample) >> 2) + 33, 0x1FFF)
    segment, left = 1, absolute >> 6
    while left:
        segment, left = segment + 1, left >> 1
    code = (8 - segment) << 4 | 0xF - ((absolute >> segment) & 0xF)
    return code if sample < 0 else code | 0x80


def itu_alaw(sample: int) -> int:
    """Recommendation G.191, `alaw_compress`, one sample."""
    code = (~sample if sample < 0 else sample) >> 4
    if code > 15:
        exponent = 1
        while code > 31:
            code, exponent = code >> 1, exponent + 1
        code = code - 16 + (exponent << 4)
    return (code if sample < 0 else code | 0x80) ^ 0x55


def ffmpeg_codes(codec: str) -> NDArray[np.uint8]:
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(EVERY_SAMPLE[None], format="s16", layout="mono")
    frame.sample_rate = 8000
    packets = encoder.encode(frame) + encoder.encode(None)
    return np.frombuffer(b"".join(bytes(packet) for packet in packets), dtype=np.uint8)


def ffmpeg_pcm(codec: str) -> NDArray[np.int16]:
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    (frame,) = decoder.decode(av.Packet(EVERY_CODE.tobytes()))
    return frame.to_ndarray()[0]


@pytest.mark.parametrize(("encode", "oracle"), [(encode_mulaw, itu_mulaw), (encode_alaw, itu_alaw)])
def test_every_sample_gets_the_code_of_the_itu_reference(encode: Encode, oracle: Callable[[int], int]) -> None:
    assert encode(EVERY_SAMPLE).tolist() == [oracle(sample) for sample in EVERY_SAMPLE.tolist()]


@pytest.mark.parametrize(("decode", "codec"), [(decode_mulaw, "pcm_mulaw"), (decode_alaw, "pcm_alaw")])
def test_every_code_decodes_as_in_ffmpeg(decode: Decode, codec: str) -> None:
    np.testing.assert_array_equal(decode(EVERY_CODE), ffmpeg_pcm(codec))


@pytest.mark.parametrize(
    ("encode", "decode", "codec"),
    [(encode_mulaw, decode_mulaw, "pcm_mulaw"), (encode_alaw, decode_alaw, "pcm_alaw")],
)
def test_ffmpeg_differs_for_few_samples_and_by_one_level(encode: Encode, decode: Decode, codec: str) -> None:
    # FFmpeg draws the lines between codes halfway between their levels, G.711 a little off at the ends of a segment.
    levels = np.unique(decode(EVERY_CODE))
    ours, theirs = (np.searchsorted(levels, decode(codes)) for codes in (encode(EVERY_SAMPLE), ffmpeg_codes(codec)))
    assert 0 < np.count_nonzero(ours != theirs) < 0.015 * len(EVERY_SAMPLE)
    assert np.abs(ours - theirs).max() == 1


@pytest.mark.parametrize(("encode", "decode"), [(encode_mulaw, decode_mulaw), (encode_alaw, decode_alaw)])
def test_decoded_speech_encodes_to_the_same_level_again(encode: Encode, decode: Decode) -> None:
    pcm = decode(EVERY_CODE)
    np.testing.assert_array_equal(decode(encode(pcm)), pcm)


def test_silence_has_the_codes_that_telephony_expects() -> None:
    silence = np.zeros(3, dtype=np.int16)
    assert encode_mulaw(silence).tolist() == [0xFF] * 3
    assert encode_alaw(silence).tolist() == [0xD5] * 3
