"""Scope: Opus packets at 24 kHz: speech survives, lost packets are recovered or concealed, bad ones change nothing.

libopus itself is the oracle for what `opus_toc` reads, and FFmpeg's Opus for packets of every mode and length.
"""

import ctypes
import gc
import importlib.util
import weakref
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream import opus
from codec_stream.opus import OpusDecoder, OpusEncoder
from codec_stream.opus_toc import packet_ticks, repeats_previous
from tests.codec_stream.signals import level_db, tone, voiced_sound

RATE = 24000
PACKET_BYTES = 960
# libopus looks ahead by this much of 24 kHz.
LAG = 156


def cut(pcm: NDArray[np.int16]) -> list[bytes]:
    data = pcm.tobytes()
    return [data[at : at + PACKET_BYTES] for at in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES)]


def encoded(pcm: NDArray[np.int16], **settings: int) -> list[bytes]:
    encoder = OpusEncoder(**settings)
    return [encoder.encode(packet) for packet in cut(pcm)]


def samples(pcm16: bytes) -> NDArray[np.int16]:
    return np.frombuffer(pcm16, dtype="<i2")


def ffmpeg_packets(pcm: NDArray[np.int16], layout: str, frame_ms: str, application: str, bit_rate: int) -> list[bytes]:
    """`pcm` [channels, samples at 48 kHz], through FFmpeg's libopus wrapper."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48000, layout, "s16", bit_rate
    encoder.options = {"frame_duration": frame_ms, "application": application, "vbr": "off"}
    encoder.open()
    step, packets = encoder.frame_size, []
    for at in range(0, pcm.shape[1] - step + 1, step):
        interleaved = np.ascontiguousarray(pcm[:, at : at + step].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate = 48000
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in packets]


def bands_db(pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """Levels of 24 bands from 70 Hz to 12 kHz, in windows of 43 ms [windows, bands]."""
    windows = np.lib.stride_tricks.sliding_window_view(pcm / 32768.0, 1024)[::512] * np.hanning(1024)
    power = np.abs(np.fft.rfft(windows)) ** 2
    edges = np.unique(np.round(np.geomspace(3, 512, 25)).astype(int))
    levels: NDArray[np.float64] = 10 * np.log10(np.add.reduceat(power, edges[:-1], axis=1) + 1e-4)
    return levels


def test_speech_keeps_its_level_and_its_spectrum() -> None:
    voice = voiced_sound(2 * RATE)
    decoder = OpusDecoder()
    heard = samples(b"".join(decoder.decode(packet) for packet in encoded(voice)))
    assert len(heard) == len(voice)
    sent, heard = voice[: len(voice) - LAG], heard[LAG:]
    assert abs(level_db(heard, sent)) < 1.2  # libopus takes out what rumbles below the pitch
    assert np.sqrt(np.mean((bands_db(heard) - bands_db(sent)) ** 2)) < 3.5


def test_packets_hold_about_the_bits_that_were_asked_for() -> None:
    voice = voiced_sound(4 * RATE)
    for bitrate in (16000, 24000, 32000, 64000):
        sizes = [len(packet) for packet in encoded(voice, bitrate=bitrate)]
        assert 0.65 * bitrate < 8 * sum(sizes) / 4 < 1.1 * bitrate
        assert len(set(sizes)) > 10  # the rate varies with what is said


@pytest.mark.parametrize("size", [0, 2, 958, 962, 1920])
def test_only_packets_of_20_ms_are_encoded(size: int) -> None:
    with pytest.raises(ValueError, match=f"480 samples of 2 bytes, got {size} bytes"):
        OpusEncoder().encode(bytes(size))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="bitrate is 5000 bit/s, expected 6000 to 510000"):
        OpusEncoder(bitrate=5000)
    with pytest.raises(ValueError, match="complexity is 11, expected 0 to 10"):
        OpusEncoder(complexity=11)


@pytest.mark.parametrize("protected", [True, False])
def test_after_a_rest_the_encoder_is_as_new(protected: bool) -> None:
    first, *more = cut(voiced_sound(RATE))
    encoder = OpusEncoder()
    encoder.protect(protected)
    fresh = encoder.encode(first)
    for packet in more:
        encoder.encode(packet)
    assert encoder.encode(first) != fresh
    assert len(encoder.rest()) <= (40 if protected else 3)
    assert encoder.encode(first) == fresh


def test_without_protection_packets_repeat_nothing_and_keep_the_level() -> None:
    voice, encoder, decoder = voiced_sound(2 * RATE), OpusEncoder(), OpusDecoder()
    encoder.protect(False)
    packets = [encoder.encode(packet) for packet in cut(voice)]
    assert not any(map(repeats_previous, packets))
    heard = samples(b"".join(map(decoder.decode, packets)))
    assert abs(level_db(heard[LAG:], voice[:-LAG])) < 0.1


def test_protection_comes_and_goes_without_a_click() -> None:
    voice, encoder, decoder = voiced_sound(4 * RATE), OpusEncoder(), OpusDecoder()
    heard, repeating = [], list[bool]()
    for number, packet in enumerate(cut(voice)):
        encoder.protect(number // 25 % 2 == 0)
        payload = encoder.encode(packet)
        repeating.append(repeats_previous(payload))
        heard.append(samples(decoder.decode(payload)))
    assert sum(repeating[:25]) > 15
    assert not any(repeating[26:50])  # the first is half of each
    ours, sent = np.concatenate(heard)[LAG:], voice[:-LAG]
    assert np.abs(np.diff(ours.astype(float), 2)).max() < 1.2 * np.abs(np.diff(sent.astype(float), 2)).max()
    assert abs(level_db(ours, sent)) < 0.5


@pytest.mark.parametrize("frame_ms", ["2.5", "5", "10", "20", "40", "60"])
@pytest.mark.parametrize(("application", "bit_rate"), [("voip", 12000), ("voip", 32000), ("audio", 96000)])
def test_packets_of_every_mode_and_length_decode_to_their_length(
    frame_ms: str, application: str, bit_rate: int
) -> None:
    packets = ffmpeg_packets(tone(440, 48000, 0.5)[None], "mono", frame_ms, application, bit_rate)
    decoder = OpusDecoder()
    heard = [samples(decoder.decode(packet)) for packet in packets]
    assert {len(pcm) for pcm in heard} == {round(24 * float(frame_ms))}
    assert {packet_ticks(packet) for packet in packets} == {round(48 * float(frame_ms))}
    assert (
        abs(level_db(np.concatenate(heard)[RATE // 10 :], tone(440, RATE, 0.4))) < 2.5
    )  # at 12 kbit/s and 5 ms a tone suffers


def test_packets_of_120_ms_decode() -> None:
    # Two packets of 60 ms, SILK, joined as RFC 6716 says: code 1, two frames of one size.
    packets = ffmpeg_packets(tone(440, 48000, 0.6)[None], "mono", "60", "voip", 12000)
    frames = [packet[1:] for packet in packets if len(packet) == len(packets[1])][:2]
    joined = bytes([packets[1][0] | 1]) + b"".join(frames)
    assert packet_ticks(joined) == 5760
    assert len(OpusDecoder().decode(joined)) == 2 * 2880


@pytest.mark.parametrize(("left", "right", "expected_db"), [(1, 1, 0), (1, 0, -6), (0, 1, -6)])
def test_a_stereo_peer_is_heard_as_the_mean_of_its_channels(left: int, right: int, expected_db: float) -> None:
    sound = tone(440, 48000, 0.6)
    packets = ffmpeg_packets(np.stack([sound * left, sound * right]), "stereo", "20", "audio", 96000)
    assert all(packet[0] & 4 for packet in packets)
    decoder = OpusDecoder()
    heard = samples(b"".join(decoder.decode(packet) for packet in packets))
    assert abs(level_db(heard[RATE // 5 :], tone(440, RATE, 0.4)) - expected_db) < 0.7


def test_bad_packets_are_refused_and_change_nothing() -> None:
    packets = encoded(voiced_sound(RATE))
    clean, troubled = OpusDecoder(), OpusDecoder()
    for packet in packets:
        for bad in (b"", b"\x03", b"\x03\x00", b"\xff\x3f", b"\x01abc", b"\x02\xff", packet[:1] + b"\x01" * 1400):
            with pytest.raises(ValueError, match=r"^(an|the) [a-zA-Z]"):
                troubled.decode(bad)
        assert troubled.decode(packet) == clean.decode(packet)


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(max_size=80))
def test_any_bytes_decode_to_the_length_that_they_say_or_are_refused(payload: bytes) -> None:
    decoder = OpusDecoder()
    try:
        heard = decoder.decode(payload)
    except ValueError:
        return
    assert len(heard) == packet_ticks(payload)  # 2 bytes for each 2 ticks


def lost(packets: list[bytes], which: set[int], how: str) -> NDArray[np.int16]:
    decoder, heard = OpusDecoder(), []
    for number, packet in enumerate(packets):
        if number not in which:
            heard.append(decoder.decode(packet))
        elif how == "recover":
            heard.append(decoder.recover(packets[number + 1], 480))
        else:
            heard.append(decoder.conceal(480))
    return samples(b"".join(heard))


def test_what_a_packet_repeats_is_nearer_to_the_lost_one_than_concealment() -> None:
    packets = encoded(voiced_sound(4 * RATE))
    repeated = [number for number in range(10, 190) if repeats_previous(packets[number + 1])]
    assert len(repeated) > 60
    which = set(repeated[::7])
    whole = bands_db(lost(packets, set(), "decode"))
    distance = {
        how: np.sqrt(np.mean((bands_db(lost(packets, which, how)) - whole) ** 2)) for how in ("recover", "conceal")
    }
    assert distance["recover"] < 0.6 * distance["conceal"]


def test_recovery_of_several_packets_conceals_what_the_next_one_does_not_repeat() -> None:
    packets = encoded(voiced_sound(RATE))
    one, other = OpusDecoder(), OpusDecoder()
    for packet in packets[:20]:
        one.decode(packet)
        other.decode(packet)
    assert one.recover(packets[23], 3 * 480) == other.conceal(2 * 480) + other.recover(packets[23], 480)


def test_concealment_goes_on_with_the_sound() -> None:
    decoder, sound = OpusDecoder(), voiced_sound(RATE)
    for packet in encoded(sound):
        decoder.decode(packet)
    made = samples(decoder.conceal(RATE))
    assert len(made) == RATE
    assert abs(level_db(made[:480], sound[-480:])) < 3
    assert level_db(made[-480:], made[:480]) < 0


@pytest.mark.parametrize("count", [-60, 1, 479])
def test_missing_audio_comes_in_steps_of_2_5_ms(count: int) -> None:
    decoder, (packet, *_) = OpusDecoder(), encoded(voiced_sound(960))
    for make in (decoder.conceal, lambda samples: decoder.recover(packet, samples)):
        with pytest.raises(ValueError, match=f"multiples of 60 samples, got {count}"):
            make(count)
    assert decoder.conceal(0) == b""


def oracle() -> ctypes.CDLL:
    library = ctypes.CDLL(opus._libopus_path())
    for name in ("opus_packet_get_nb_samples", "opus_packet_has_lbrr"):
        getattr(library, name).argtypes = [ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32][
            : 3 if "samples" in name else 2
        ]
    return library


@settings(max_examples=1000, deadline=None)
@given(payload=st.binary(max_size=40))
@example(payload=b"\x03\x81\x00\xff")
@example(payload=bytes([3, 0x40 | 1, 255, 0, 0x40]) + bytes(254))  # a frame of one byte, with FEC, and padding
@example(payload=bytes([0x68, 0xFF]))
def test_the_length_and_the_repetition_are_those_that_libopus_reads(payload: bytes) -> None:
    library = oracle()
    expected = library.opus_packet_get_nb_samples(payload, len(payload), 48000)
    if expected > 0:
        assert packet_ticks(payload) == expected
        whole = library.opus_packet_has_lbrr(payload, len(payload))
        if whole >= 0:
            assert repeats_previous(payload) == bool(whole)
    else:
        with pytest.raises(ValueError, match="Opus packet"):
            packet_ticks(payload)


def test_native_state_goes_with_its_owner() -> None:
    decoder = OpusDecoder()
    gone = weakref.ref(decoder)
    del decoder
    gc.collect()
    assert gone() is None

    def churn() -> int:
        for _ in range(500):
            OpusEncoder().encode(bytes(PACKET_BYTES))
            OpusDecoder().conceal(480)
        gc.collect()
        return int(psutil.Process().memory_info().rss)

    before = churn()
    assert churn() - before < 5_000_000  # one encoder and decoder hold about 50 kB


def test_without_any_libopus_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(opus, "find_library", lambda name: None)
    with pytest.raises(ImportError, match="libopus was not found; install PyAV from a wheel"):
        opus._libopus_path()


@pytest.mark.parametrize(
    "place", ["av.libs/libopus-1a.so.0.11.1", "av/.dylibs/libopus.0.dylib", "av.libs/libopus-0.dll"]
)
def test_the_library_of_pyavs_wheel_is_found_on_every_system(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av").mkdir()
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    spec = importlib.util.spec_from_file_location("av", tmp_path / "av" / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert opus._libopus_path() == str(tmp_path / place)
