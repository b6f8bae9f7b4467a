"""Scope: recordings of strangers, in every format that is taken, and what is refused of them."""

import io

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_stream.containers import ContainerEncoder
from codec_stream.errors import AudioError
from codec_stream.media_file import read_media
from tests.codec_stream.signals import tone, voiced_sound

SECONDS = 2.0
SPEECH = voiced_sound(round(SECONDS * 24000))


def _encoded(format: str, codec: str, rate: int = 48000, layout: str = "mono") -> bytes:
    """A second of a tone at 440 Hz, by FFmpeg."""
    target = io.BytesIO()
    with av.open(target, "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        samples = tone(440, rate, 1.0)
        channels = 2 if layout == "stereo" else 1
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, channels)[None], format="s16", layout=layout)
        frame.sample_rate = rate
        for piece in av.AudioResampler(format=stream.format, layout=layout, rate=rate).resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return target.getvalue()


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_files_without_loss_come_out_as_they_went_in(format: str) -> None:
    target = io.BytesIO()
    soundfile.write(target, SPEECH, 24000, format=format, subtype="PCM_16")
    assert read_media(target.getvalue(), max_seconds=30) == SPEECH.astype("<i2").tobytes()


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_we_write_we_read(format: str) -> None:
    encoder = ContainerEncoder(format)  # type: ignore[arg-type]
    pcm = read_media(encoder.push(SPEECH.astype("<i2").tobytes()) + encoder.finish(), max_seconds=30)
    assert SECONDS <= len(pcm) / 48000 < SECONDS + 0.2
    heard, made = np.frombuffer(pcm, "<i2").astype(float), SPEECH.astype(float)
    assert abs(20 * np.log10(heard.std() / made.std())) < 1.5


@pytest.mark.parametrize(
    ("format", "codec", "rate", "layout"),
    [
        ("webm", "libopus", 48000, "mono"),
        ("ipod", "aac", 44100, "stereo"),
        ("mp3", "libmp3lame", 22050, "mono"),
        ("wav", "pcm_f32le", 8000, "stereo"),
    ],
)
def test_browsers_and_recorders_are_understood_at_any_rate(format: str, codec: str, rate: int, layout: str) -> None:
    pcm = np.frombuffer(read_media(_encoded(format, codec, rate, layout), max_seconds=30), "<i2")
    assert abs(len(pcm) - 24000) < 3600
    middle = pcm[6000:18000].astype(float)
    assert abs(np.argmax(np.abs(np.fft.rfft(middle))) * 2 - 440) <= 2


def test_vorbis_is_understood() -> None:
    target = io.BytesIO()
    soundfile.write(target, tone(440, 44100, 1.0), 44100, format="OGG", subtype="VORBIS")
    assert abs(len(read_media(target.getvalue(), max_seconds=30)) / 48000 - 1.0) < 0.05


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is no WAV, FLAC, MP3, AAC, Ogg, WebM or M4A file; convert it to one$"),
        (b"#EXTM3U\nhttp://127.0.0.1/secret", "is no WAV"),
        (b"%PDF-1.7", "is no WAV"),
        (b"RIFF\x24\x00\x00\x00WAVEjunk", "damaged"),
        (b"OggS" + bytes(64), "damaged"),
        (b"\xff\xfb" + bytes(64), ""),
    ],
)
def test_what_is_no_recording_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(AudioError, match=rf"^audio: .*{sentence}"):
        read_media(data, max_seconds=30)


def test_a_recording_that_is_too_long_is_refused_before_it_is_decoded_whole() -> None:
    target = io.BytesIO()
    soundfile.write(target, np.zeros(24000 * 120, np.int16), 24000, format="flac")
    assert len(target.getvalue()) < 200_000
    with pytest.raises(AudioError, match=r"is longer than 30 s; send it in parts"):
        read_media(target.getvalue(), max_seconds=30)


def test_a_film_without_sound_and_a_file_without_samples_hold_none() -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        for packet in [*stream.encode(av.VideoFrame(16, 16, "yuv420p")), *stream.encode(None)]:
            container.mux(packet)
    empty = io.BytesIO()
    soundfile.write(empty, np.zeros(0, np.int16), 24000, format="wav")
    for data in (target.getvalue(), empty.getvalue()):
        with pytest.raises(AudioError, match=r"holds no sound"):
            read_media(data, max_seconds=30)


def test_a_file_that_is_cut_off_is_read_up_to_there() -> None:
    whole = _encoded("mp3", "libmp3lame", 44100)
    assert 0.3 < len(read_media(whole[: len(whole) // 2], max_seconds=30)) / 48000 < 0.7


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["webm", "ogg", "wav", "mp3"]), st.data())
def test_damage_gives_samples_or_a_sentence(format: str, data: st.DataObject) -> None:
    codec = {"webm": "libopus", "ogg": "libopus", "wav": "pcm_s16le", "mp3": "libmp3lame"}[format]
    damaged = bytearray(_WHOLE.setdefault(format, _encoded(format, codec)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=20)):
        damaged[at] = value
    try:
        pcm = read_media(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), max_seconds=5)
        assert len(pcm) % 2 == 0 and 0 < len(pcm) <= 5.2 * 48000
    except AudioError as error:
        assert str(error).startswith("audio: ")


_WHOLE: dict[str, bytes] = {}
