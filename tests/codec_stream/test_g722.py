"""Scope: G.722 packets: 160 bytes for 20 ms, wideband speech survives, and any bytes decode to their length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.g722 import G722Decoder, G722Encoder
from tests.codec_stream.signals import level_db, tone, voiced_sound

RATE, PACKET_BYTES = 24000, 960
# Twice the resampler's 3.15 ms, and 22 samples of 16 kHz in the filters that split G.722's bands and join them.
LAG = 185


def through(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    encoder, decoder, data = G722Encoder(), G722Decoder(), pcm.tobytes()
    packets = [data[at : at + PACKET_BYTES] for at in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES)]
    return np.frombuffer(b"".join(decoder.decode(encoder.encode(packet)) for packet in packets), dtype="<i2")


def test_every_packet_of_20_ms_is_160_bytes_and_back_480_samples() -> None:
    encoder, decoder, voice = G722Encoder(), G722Decoder(), voiced_sound(RATE).tobytes()
    for at in range(0, len(voice), PACKET_BYTES):
        payload = encoder.encode(voice[at : at + PACKET_BYTES])
        assert len(payload) == 160
        assert len(decoder.decode(payload)) == PACKET_BYTES


def test_speech_survives_and_comes_8_ms_late() -> None:
    voice = voiced_sound(2 * RATE)
    heard = through(voice)
    error = heard[LAG:].astype(int) - voice[: len(heard) - LAG]
    assert level_db(error, voice) < -15


@pytest.mark.parametrize(("frequency_hz", "least_db"), [(300, -1), (3000, -1), (6000, -2)])
def test_tones_up_to_6_khz_keep_their_level(frequency_hz: float, least_db: float) -> None:
    sound = tone(frequency_hz, RATE, 1.0, peak=8000)
    assert least_db < level_db(through(sound)[RATE // 5 :], sound) < 1


def test_tones_above_its_band_are_gone_and_fold_nowhere() -> None:
    sound = tone(9000, RATE, 1.0, peak=8000)
    assert level_db(through(sound)[RATE // 5 :], sound) < -40


@pytest.mark.parametrize("size", [0, 958, 962, 1920])
def test_only_packets_of_20_ms_are_encoded(size: int) -> None:
    with pytest.raises(ValueError, match=f"480 samples of 2 bytes, got {size} bytes"):
        G722Encoder().encode(bytes(size))


@settings(max_examples=100, deadline=None)
@given(payloads=st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_decode_to_their_length_and_no_byte_is_refused(payloads: list[bytes]) -> None:
    decoder = G722Decoder()
    for payload in payloads:
        if payload:
            assert len(decoder.decode(payload)) == 6 * len(payload)
        else:
            with pytest.raises(ValueError, match=r"a packet of G.722 holds at least one byte, got none"):
                decoder.decode(payload)
    assert len(decoder.decode(bytes(160))) == PACKET_BYTES


def test_lost_packets_are_concealed_and_not_repeated_by_the_next() -> None:
    encoder, decoder, voice = G722Encoder(), G722Decoder(), voiced_sound(RATE).tobytes()
    payloads = [encoder.encode(voice[at : at + PACKET_BYTES]) for at in range(0, len(voice), PACKET_BYTES)]
    before = np.frombuffer(b"".join(decoder.decode(payload) for payload in payloads[:-1]), dtype="<i2")
    assert not decoder.repeats_previous(payloads[-1])
    made = np.frombuffer(decoder.recover(payloads[-1], 480), dtype="<i2")
    assert level_db(made, before[-960:]) > -6
    assert level_db(np.frombuffer(decoder.conceal(2400), dtype="<i2")[-480:], before) < -60
