"""Scope: each file format, decoded by libsndfile (AAC: FFmpeg): what was said comes back, and leaves as it is said."""

import gc
import io
import struct
from dataclasses import dataclass

import av
import numpy as np
import psutil
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.audio_file import wav_header
from codec_stream.containers import CONTAINER_FORMATS, MEDIA_TYPES, RATES_HZ, ContainerEncoder, ContainerFormat
from tests.codec_stream.signals import cuts, level_db, voiced_sound

RATE = 24000
SPEECH = voiced_sound(3 * RATE + 123)


@dataclass(frozen=True)
class Known:
    """What is known of a codec: its delay and frame in samples, its error, how much it keeps back."""

    delay: int
    frame: int
    signal_to_error_db: float
    held_ms: float


# The delays are those of LAME (its 528 + 1 of the decoder and a frame of 576) and of one AAC frame; Opus states its own
# in the header and decoders take it off.
KNOWN: dict[ContainerFormat, Known] = {
    "mp3": Known(1105, 576, 24, 93),
    "opus": Known(0, 480, 24, 33),
    "aac": Known(1024, 1024, 20, 128),
    "flac": Known(0, 576, 120, 24),
    "wav": Known(0, 1, 120, 0),
    "pcm": Known(0, 1, 120, 0),
}
LOSSY: list[ContainerFormat] = ["mp3", "opus", "aac"]


def encoded(format: ContainerFormat, pcm: NDArray[np.int16], rate: int = RATE) -> bytes:
    encoder = ContainerEncoder(format, rate)
    return encoder.push(pcm.tobytes()) + encoder.finish()


def decoded(format: ContainerFormat, file: bytes) -> NDArray[np.float64]:
    """Samples in PCM16 steps, as far as the file, or the start of one, goes."""
    if format == "pcm":
        return np.frombuffer(file, dtype="<i2").astype(np.float64)
    if format == "wav":
        # libsndfile wants to know where a WAV file ends.
        file = file[:4] + struct.pack("<I", len(file) - 8) + file[8:40] + struct.pack("<I", len(file) - 44) + file[44:]
    if format == "aac":
        with av.open(io.BytesIO(file), format="aac") as container:
            frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return 32768 * np.concatenate(frames).astype(np.float64)
    if format == "flac":
        file = with_length(file)
    samples, _ = soundfile.read(io.BytesIO(file), dtype="float64")
    return 32768 * samples


def with_length(flac: bytes) -> bytes:
    """libsndfile's Python reader wants to know where a FLAC file ends; FFmpeg counts, STREAMINFO says it."""
    with av.open(io.BytesIO(flac), format="flac") as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert flac[:4] == b"fLaC"
    # 36 bits that end 26 bytes into the file (RFC 9639, 8.2): zero means unknown.
    assert flac[21] & 0x0F == 0
    assert flac[22:26] == bytes(4)
    return flac[:22] + struct.pack(">I", samples) + flac[26:]


def heard(format: ContainerFormat, file: bytes, samples: int) -> NDArray[np.float64]:
    """What was decoded, without the codec's known delay and what it adds behind the end."""
    delay = KNOWN[format].delay
    return decoded(format, file)[delay : delay + samples]


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
def test_the_decoded_audio_is_what_was_pushed_within_the_codecs_error(format: ContainerFormat) -> None:
    audio = heard(format, encoded(format, SPEECH), len(SPEECH))
    assert len(audio) == len(SPEECH)
    assert level_db(SPEECH, audio - SPEECH) > KNOWN[format].signal_to_error_db
    assert abs(level_db(audio, SPEECH)) < 0.3


@pytest.mark.parametrize("format", ["flac", "wav", "pcm"])
def test_lossless_formats_lose_nothing(format: ContainerFormat) -> None:
    everything = np.concatenate([SPEECH, np.arange(-32768, 32768, 7).astype(np.int16)])
    np.testing.assert_array_equal(decoded(format, encoded(format, everything)), everything)


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
@pytest.mark.parametrize("samples", [1, 480, 5000, 24000])
def test_the_length_is_right_within_the_codecs_delay_and_frames(format: ContainerFormat, samples: int) -> None:
    known = KNOWN[format]
    extra = len(decoded(format, encoded(format, SPEECH[:samples]))) - known.delay - samples
    # Only MP3 and AAC cannot say where the last frame ends; LAME adds up to one of silence, so that decoders overlap.
    assert 0 <= extra <= {"mp3": 2 * known.frame, "aac": known.frame}.get(format, 0)


@pytest.mark.parametrize("format", LOSSY)
def test_the_error_at_the_borders_of_packets_is_that_of_elsewhere(format: ContainerFormat) -> None:
    error = heard(format, encoded(format, SPEECH), len(SPEECH)) - SPEECH
    jumps = np.abs(np.diff(error))[2000:-2000]
    frame = KNOWN[format].frame
    steps = jumps[: len(jumps) // frame * frame].reshape(-1, frame)  # [packets, place in packet]
    typical = np.median(steps, axis=0)
    around = np.mean([np.roll(typical, shift) for shift in range(-16, 17)], axis=0)
    # A click at each border would stand out at one place, wherever in a packet the borders are.
    assert (typical / around).max() < 2
    # A click at one border would stand out from the whole.
    assert jumps.max() < 16 * jumps.mean()


@settings(max_examples=30, deadline=None)
@given(format=st.sampled_from(CONTAINER_FORMATS), sizes=st.lists(st.integers(0, 3000), max_size=12))
def test_any_chunks_give_the_bytes_of_the_whole(format: ContainerFormat, sizes: list[int]) -> None:
    pcm = SPEECH[:12000]
    encoder = ContainerEncoder(format)
    pieces = [encoder.push(pcm[cut].tobytes()) for cut in cuts(len(pcm), sizes)]
    # An Ogg stream carries a serial number drawn by chance; what is decoded is what counts.
    joined = decoded(format, b"".join([*pieces, encoder.finish()]))
    np.testing.assert_array_equal(joined, decoded(format, encoded(format, pcm)))


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
def test_a_listener_who_has_what_left_so_far_lacks_only_the_last_milliseconds(format: ContainerFormat) -> None:
    encoder, known = ContainerEncoder(format), KNOWN[format]
    file = b""
    for end in range(240, RATE + 1, 240):
        file += encoder.push(SPEECH[end - 240 : end].tobytes())
        if end > 7200:
            lacking = end - (len(decoded(format, file)) - known.delay)
            assert 1000 * lacking / RATE <= known.held_ms


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
def test_bytes_leave_with_every_frame_from_the_first_on(format: ContainerFormat) -> None:
    encoder = ContainerEncoder(format)
    frame = max(KNOWN[format].frame, 240)
    sizes = [len(encoder.push(SPEECH[start : start + frame].tobytes())) for start in range(0, 20 * frame, frame)]
    assert all(sizes[3:])
    assert max(sizes[3:]) < 2 * frame + 50
    # What is left for the end is a few frames, not the file.
    assert len(encoder.finish()) < sum(sizes) / 3


def test_ogg_pages_hold_one_packet_of_20_ms_each() -> None:
    file = encoded("opus", SPEECH[:24000])
    assert file[28:36] == b"OpusHead"
    # Behind "OggS" and its version: flags, then the position of the page's end in samples at 48 kHz (RFC 3533, 6).
    ends = [struct.unpack("<q", page[1:9])[0] for page in file.split(b"OggS\0")[1:]]
    assert ends[:2] == [0, 0]  # the two headers
    assert set(np.diff(ends[2:-1]).tolist()) == {960}
    # The last page ends with the speech, behind what the header says to skip.
    assert ends[-1] == 48000 + struct.unpack("<H", file[38:40])[0]


def test_aac_is_a_chain_of_adts_frames_of_1024_samples_at_24_khz_mono() -> None:
    file, start, frames = encoded("aac", SPEECH), 0, 0
    while start < len(file):
        header = int.from_bytes(file[start : start + 7], "big")
        assert header >> 44 == 0xFFF  # sync word
        assert header >> 38 & 3 == 1  # AAC LC
        assert header >> 34 & 15 == 6  # 24 kHz
        assert header >> 30 & 7 == 1  # one channel
        assert header & 3 == 0  # one block of 1024 samples
        start += header >> 13 & 0x1FFF
        frames += 1
    assert start == len(file)
    assert frames == -(-(len(SPEECH) + 1024) // 1024)


def test_mp3_starts_with_its_first_frame() -> None:
    file = encoded("mp3", SPEECH)
    assert file[0] == 0xFF
    assert file[1] & 0xE0 == 0xE0
    assert b"Xing" not in file
    assert b"Info" not in file


def test_wav_says_that_its_length_is_unknown() -> None:
    assert encoded("wav", SPEECH) == wav_header(RATE) + SPEECH.tobytes()


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
@pytest.mark.parametrize("rate", RATES_HZ)
def test_every_rate_is_written_and_stated(format: ContainerFormat, rate: int) -> None:
    file = encoded(format, voiced_sound(rate, rate), rate)
    if format == "pcm":
        assert len(file) == 2 * rate
    else:
        with av.open(io.BytesIO(file)) as container:
            stated = container.streams.audio[0].rate
            seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
        # Opus always decodes at 48 kHz.
        assert stated == (48000 if format == "opus" else rate)
        assert 1.0 <= seconds < 1.4


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
def test_loud_speech_is_neither_clipped_nor_lowered(format: ContainerFormat) -> None:
    # FFmpeg's AAC encoder lowers what comes closer to full scale than this.
    loud = np.rint(30000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.int16)
    audio = heard(format, encoded(format, loud), RATE)[4000:-4000]
    assert abs(level_db(audio, loud)) < 0.1
    assert level_db(loud[4000:-4000], audio - loud[4000:-4000]) > 30


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
def test_nothing_said_is_a_file_without_audio(format: ContainerFormat) -> None:
    encoder = ContainerEncoder(format)
    assert len(encoder.push(b"") + encoder.finish()) < 300


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac"])
@pytest.mark.parametrize("to_the_end", [True, False])
def test_an_encoder_leaves_no_memory_and_no_thread_even_when_dropped(format: ContainerFormat, to_the_end: bool) -> None:
    process, pcm = psutil.Process(), SPEECH[:4800].tobytes()

    def encode_some(count: int) -> int:
        for _ in range(count):
            encoder = ContainerEncoder(format)
            encoder.push(pcm)
            if to_the_end:
                encoder.finish()
        del encoder
        return int(process.memory_info().rss)

    # Not by the grace of the garbage collector, which a server runs seldom.
    gc.disable()
    try:
        before, threads = encode_some(20), process.num_threads()
        after = encode_some(60)
    finally:
        gc.enable()
    assert after - before < 60 * 50_000
    assert process.num_threads() <= threads


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac"])
def test_a_long_stream_needs_no_more_memory_than_a_short_one(format: ContainerFormat) -> None:
    process, encoder, second = psutil.Process(), ContainerEncoder(format), SPEECH[:RATE].tobytes()
    for _ in range(20):
        encoder.push(second)
    before = process.memory_info().rss
    for _ in range(120):
        encoder.push(second)
    assert process.memory_info().rss - before < 2**20


def test_media_types_are_those_that_clients_go_by() -> None:
    assert {format: ContainerEncoder(format).media_type for format in CONTAINER_FORMATS} == MEDIA_TYPES


def test_what_is_not_served_is_refused_with_what_is() -> None:
    with pytest.raises(ValueError, match="format is 'ogg'; use one of mp3, opus, "):
        ContainerEncoder("ogg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sample rate is 44100 Hz; use one of 8000, "):
        ContainerEncoder("mp3", 44100)
    with pytest.raises(ValueError, match="whole samples"):
        ContainerEncoder("wav").push(b"\0")


@pytest.mark.parametrize("format", CONTAINER_FORMATS)
def test_a_finished_encoder_takes_no_more(format: ContainerFormat) -> None:
    encoder = ContainerEncoder(format)
    encoder.finish()
    with pytest.raises(ValueError, match="was finished"):
        encoder.push(bytes(2))
    with pytest.raises(ValueError, match="was finished"):
        encoder.finish()
