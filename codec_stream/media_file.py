"""Scope: recordings at the border: untrusted WAV, FLAC, MP3, AAC, Ogg, WebM and MP4 files in, PCM out.

What comes in is recognised by its first bytes, and only the one parser of FFmpeg that these ask for sees it, through
PyAV. Of what is inside only audio in a known coding is decoded. Every refusal is one AudioError sentence: what is
wrong, and the fix.
"""

import io
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from codec_stream.errors import AudioError
from codec_stream.rate import SAMPLE_RATE

_CODINGS = {"aac", "alac", "flac", "mp3", "mp3float", "opus", "vorbis", "libopus", "libvorbis"}
_KNOWN = "WAV, FLAC, MP3, AAC, Ogg, WebM or M4A"


def read_media(data: bytes, *, max_seconds: float) -> bytes:
    """The audio of a file, given as its bytes -> 16-bit little endian mono PCM at 24 kHz. Several channels are mixed
    down. A file that is cut off is read up to where it ends. Raises AudioError for anything that is not audio of a
    known format and coding, that holds none, or that is longer than `max_seconds`."""
    parser = _parser(data)
    chunks, samples = [], 0
    try:
        with av.open(io.BytesIO(data), "r", format=parser, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AudioError("audio: holds no sound; send a recording")
            for chunk in _decoded(container, container.streams.audio[0]):
                chunks.append(chunk)
                samples += len(chunk) // 2
                if samples > max_seconds * SAMPLE_RATE:
                    raise AudioError(f"audio: is longer than {max_seconds:g} s; send it in parts")
    except AudioError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        if not chunks:
            raise AudioError(f"audio: is damaged or no {_KNOWN}; export it again") from error
    if not samples:
        raise AudioError("audio: holds no sound; send a recording")
    return b"".join(chunks)


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[bytes]:
    coding = stream.codec_context.name
    if coding not in _CODINGS and not coding.startswith("pcm_"):
        raise AudioError(f"audio: is coded as {coding}; convert it to {_KNOWN}")
    stream.codec_context.thread_count = 1
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for frame in container.decode(stream):
        yield from _samples(resampler.resample(frame))
    yield from _samples(resampler.resample(None))


def _samples(frames: list[AudioFrame]) -> Iterator[bytes]:
    for frame in frames:
        yield frame.to_ndarray().astype("<i2", casting="equiv").tobytes()


def _parser(data: bytes) -> str:
    """FFmpeg's name for the format of a file, by its first bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    for begins, parser in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1a\x45\xdf\xa3", "matroska"), (b"ID3", "mp3")):
        if data.startswith(begins):
            return parser
    if data[4:8] == b"ftyp":
        return "mov"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return "aac"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return "mp3"
    raise AudioError(f"audio: is no {_KNOWN} file; convert it to one")
