"""Scope: every encoding that calls may use, by the name it has in SDP, with the RTP clock of its RFC."""

import numpy as np
import pytest

from codec_stream.packets import RTP_CLOCKS, packet_decoder, packet_encoder, payload_ticks
from tests.codec_stream.signals import level_db, tone

RATE, PACKET_BYTES = 24000, 960


@pytest.mark.parametrize("encoding", RTP_CLOCKS)
def test_a_packet_is_20_ms_of_its_clock_and_comes_back_as_20_ms(encoding: str) -> None:
    encoder, decoder, sound = packet_encoder(encoding), packet_decoder(encoding), tone(500, RATE, 1.0)
    assert encoder.clock_ticks == RTP_CLOCKS[encoding] // 50
    heard = []
    for at in range(0, len(sound), 480):
        payload = encoder.encode(sound[at : at + 480].tobytes())
        assert payload_ticks(encoding, payload) == encoder.clock_ticks
        heard.append(decoder.decode(payload))
        assert len(heard[-1]) == PACKET_BYTES
    assert abs(level_db(np.frombuffer(b"".join(heard), dtype="<i2")[RATE // 5 :], sound)) < 1


@pytest.mark.parametrize("encoding", RTP_CLOCKS)
def test_every_decoder_makes_up_what_is_missing_to_the_sample(encoding: str) -> None:
    encoder, decoder = packet_encoder(encoding), packet_decoder(encoding)
    payload = encoder.encode(tone(500, RATE, 0.02).tobytes())
    decoder.decode(payload)
    for samples in (0, 60, 480, 540, 3000):
        assert len(decoder.conceal(samples)) == len(decoder.recover(payload, samples)) == 2 * samples
    with pytest.raises(ValueError, match="multiples of 60 samples, got 61"):
        decoder.conceal(61)


def test_other_encodings_are_refused_with_the_known_ones() -> None:
    for make in (packet_encoder, packet_decoder):
        with pytest.raises(ValueError, match="encoding is 'AMR'; use one of opus, PCMU, PCMA, G722"):
            make("AMR")


@pytest.mark.parametrize("protected", [True, False])
@pytest.mark.parametrize("encoding", RTP_CLOCKS)
def test_a_rest_is_silence_as_often_as_it_is_sent_and_speech_comes_back_after_it(
    encoding: str, protected: bool
) -> None:
    encoder, decoder = packet_encoder(encoding), packet_decoder(encoding)
    encoder.protect(protected)
    packets = [part.tobytes() for part in tone(500, RATE, 1.0).reshape(-1, 480)]
    said = [decoder.decode(encoder.encode(packet)) for packet in packets]
    for _ in range(10):
        decoder.decode(encoder.encode(bytes(PACKET_BYTES)))
    rest = encoder.rest()
    silent = [np.frombuffer(decoder.decode(rest), dtype="<i2") for _ in range(100)]
    assert max(np.abs(pcm).max() for pcm in silent) <= 16
    again = [decoder.decode(encoder.encode(packet)) for packet in packets]
    before, after = (np.frombuffer(b"".join(heard[5:]), dtype="<i2") for heard in (said, again))
    assert abs(level_db(after, before)) < 0.1
