"""Scope: G.711 packets: 160 bytes for 20 ms, telephone speech survives, whatever the length of a packet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_stream.telephone import G711Decoder, G711Encoder, Law
from tests.codec_stream.signals import level_db, tone

RATE, PACKET_BYTES = 24000, 960
LAG = 153  # twice the resampler's 3.2 ms
LAWS: list[Law] = ["PCMU", "PCMA"]


@pytest.mark.parametrize("law", LAWS)
def test_every_packet_of_20_ms_is_160_bytes_and_comes_back_whole(law: Law) -> None:
    encoder, decoder, sound = G711Encoder(law), G711Decoder(law), tone(700, RATE, 1.0)
    heard = []
    for at in range(0, len(sound), 480):
        payload = encoder.encode(sound[at : at + 480].tobytes())
        assert len(payload) == 160
        heard.append(decoder.decode(payload))
        assert len(heard[-1]) == PACKET_BYTES
    pcm = np.frombuffer(b"".join(heard), dtype="<i2")
    assert level_db(pcm[LAG:].astype(int) - sound[: len(pcm) - LAG], sound) < -30


@pytest.mark.parametrize("law", LAWS)
def test_silence_stays_silent(law: Law) -> None:
    encoder, decoder = G711Encoder(law), G711Decoder(law)
    for _ in range(3):
        heard = np.frombuffer(decoder.decode(encoder.encode(bytes(PACKET_BYTES))), dtype="<i2")
    assert np.abs(heard).max() <= 8


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("size", [0, 958, 962])
def test_only_packets_of_20_ms_are_encoded(law: Law, size: int) -> None:
    with pytest.raises(ValueError, match=f"480 samples of 2 bytes, got {size} bytes"):
        G711Encoder(law).encode(bytes(size))


@settings(max_examples=50, deadline=None)
@given(law=st.sampled_from(LAWS), payloads=st.lists(st.binary(min_size=1, max_size=500), max_size=6))
def test_any_bytes_decode_to_their_length(law: Law, payloads: list[bytes]) -> None:
    decoder = G711Decoder(law)
    for payload in payloads:
        assert len(decoder.decode(payload)) == 6 * len(payload)
    with pytest.raises(ValueError, match=r"a packet of G.711 holds at least one byte, got none"):
        decoder.decode(b"")


@pytest.mark.parametrize("law", LAWS)
def test_lost_packets_are_concealed_and_not_repeated_by_the_next(law: Law) -> None:
    encoder, decoder, sound = G711Encoder(law), G711Decoder(law), tone(300, RATE, 1.0)
    payloads = [encoder.encode(sound[at : at + 480].tobytes()) for at in range(0, len(sound), 480)]
    for payload in payloads[:-1]:
        decoder.decode(payload)
    assert not decoder.repeats_previous(payloads[-1])
    made = np.frombuffer(decoder.recover(payloads[-1], 480), dtype="<i2")
    assert len(made) == 480
    assert abs(level_db(made, sound)) < 1.5
    assert level_db(np.frombuffer(decoder.conceal(2400), dtype="<i2")[-480:], sound) < -60
