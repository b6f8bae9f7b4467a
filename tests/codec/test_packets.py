"""Scope: PCM16 conversion never wraps, and packets cover a stream without gap, overlap or padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec_stream.packets import Packet, Packetiser, to_pcm16


def test_full_scale_maps_to_the_ends_of_the_range_and_beyond_is_clipped() -> None:
    audio = np.array([0.0, 1.0, -1.0, 1.5, -1.5, 1e30, -1e30, np.inf, -np.inf], dtype=np.float32)
    steps = np.frombuffer(to_pcm16(audio), dtype="<i2")
    assert steps.tolist() == [0, 32767, -32767, 32767, -32768, 32767, -32768, 32767, -32768]


def test_values_are_rounded_not_cut() -> None:
    audio = np.array([0.6, -0.6, 0.4, -0.4], dtype=np.float64) / 32767
    assert np.frombuffer(to_pcm16(audio), dtype="<i2").tolist() == [1, -1, 0, 0]


def test_samples_are_little_endian() -> None:
    assert to_pcm16(np.array([256 / 32767])) == b"\x00\x01"


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        to_pcm16(np.array([0.0, np.nan], dtype=np.float32))


@given(audio=st.lists(st.floats(-2, 2, width=32)))
def test_conversion_is_within_half_a_step_of_the_clipped_audio(audio: list[float]) -> None:
    steps = np.frombuffer(to_pcm16(np.array(audio, dtype=np.float32)), dtype="<i2")
    expected = np.clip(np.array(audio) * 32767, -32768, 32767)
    assert np.all(np.abs(steps - expected) <= 0.5 + 1e-2)


@given(chunks=st.lists(st.integers(0, 2000)), packet_samples=st.integers(1, 960))
def test_packets_cover_the_stream_in_order_whatever_the_chunks(chunks: list[int], packet_samples: int) -> None:
    stream = np.arange(sum(chunks), dtype=np.int64).astype("<i2").tobytes()
    packetiser = Packetiser(packet_samples)
    packets: list[Packet] = []
    start = 0
    for samples in chunks:
        packets += packetiser.push(stream[2 * start : 2 * (start + samples)])
        start += samples
        # Bounded: everything but a part of one packet is out already.
        assert start - sum(packet.samples for packet in packets) < packet_samples
    last = packetiser.flush()
    assert all(packet.samples == packet_samples for packet in packets)
    assert len(last) <= 1
    assert all(0 < packet.samples < packet_samples for packet in last)
    packets += last
    assert b"".join(packet.pcm for packet in packets) == stream
    position = 0
    for packet in packets:
        assert packet.position_samples == position
        position += packet.samples


def test_the_default_packet_is_20_ms_at_24_khz() -> None:
    packets = Packetiser().push(bytes(2 * 1000))
    assert [(packet.position_samples, packet.samples) for packet in packets] == [(0, 480), (480, 480)]


def test_positions_go_on_after_a_flush() -> None:
    packetiser = Packetiser(480)
    packetiser.push(bytes(2 * 500))
    assert [packet.position_samples for packet in packetiser.flush()] == [480]
    assert packetiser.flush() == []
    assert [packet.position_samples for packet in packetiser.push(bytes(2 * 480))] == [500]


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="whole samples"):
        Packetiser().push(b"\x00\x00\x00")


def test_a_packet_of_no_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="packet_samples is 0"):
        Packetiser(0)
