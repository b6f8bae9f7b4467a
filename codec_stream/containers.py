"""Encodes speech as a file that is sent while it grows: MP3, Ogg Opus, AAC (ADTS), FLAC, WAV and bare PCM.

FFmpeg encodes and writes the container through PyAV. The sink can only be written to, so that no byte is ever patched
later: nothing states the length. Every frame leaves in a page or packet of its own, as soon as the encoder gives it.
"""

import weakref
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, cast, get_args

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from codec_stream.audio_file import wav_header
from codec_stream.rate import SAMPLE_RATE

ContainerFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
CONTAINER_FORMATS: tuple[ContainerFormat, ...] = get_args(ContainerFormat)
MEDIA_TYPES: dict[ContainerFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
# The rates that all four of FFmpeg's encoders here take.
RATES_HZ = (8000, 16000, SAMPLE_RATE, 48000)


@dataclass(frozen=True, slots=True)
class _Coding:
    """Holds FFmpeg's names and settings for one format."""

    muxer: str
    codec: str
    sample_format: Literal["s16", "fltp"]
    bit_rate: int | None = None
    muxer_options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)
    gain: float = 1.0  # float samples are multiplied by it


_CODINGS: dict[ContainerFormat, _Coding] = {
    # Both tags in front would hold counts that are not known yet. The bit reservoir would hold frames back. LAME
    # multiplies all it encodes by 0.95.
    "mp3": _Coding(
        "mp3", "libmp3lame", "fltp", 64_000, {"write_xing": "0", "id3v2_version": "0"}, {"reservoir": "0"}, 1 / 0.95
    ),
    # A page (microseconds) is one 20 ms packet. The other applications cut the lows or keep more audio back.
    "opus": _Coding(
        "ogg", "libopus", "s16", 64_000, {"page_duration": "20000"}, {"frame_duration": "20", "application": "lowdelay"}
    ),
    "aac": _Coding("adts", "aac", "fltp", 64_000),
    # Levels up to 2 cut blocks of 24 ms instead of 96, but predict poorly: so level 2 with the prediction of level 5.
    "flac": _Coding(
        "flac",
        "flac",
        "s16",
        muxer_options={"metadata_header_padding": "0"},
        codec_options={"compression_level": "2", "lpc_type": "levinson", "max_prediction_order": "8"},
    ),
}


class ContainerEncoder:
    """Encodes one mono PCM16 stream at `rate` Hz into one file of the given format, from its first byte to its last.

    `push` never waits for the end. At 24 kHz a listener who decodes what has left lacks at most the last 93 ms of MP3,
    33 ms of Opus, 128 ms of AAC and 24 ms of FLAC. An encoder that is dropped before `finish` frees what it holds.
    Raises ValueError for a format or a rate that is not served.
    """

    def __init__(self, format: ContainerFormat, rate: int = SAMPLE_RATE) -> None:
        if format not in CONTAINER_FORMATS:
            raise ValueError(f"format is {format!r}; use one of {', '.join(CONTAINER_FORMATS)}")
        if rate not in RATES_HZ:
            raise ValueError(f"sample rate is {rate} Hz; use one of {', '.join(map(str, RATES_HZ))}")
        self.media_type = MEDIA_TYPES[format]
        self._muxed = _MuxedStream(_CODINGS[format], rate) if format in _CODINGS else None
        self._header = wav_header(rate) if format == "wav" else b""
        self._finished = False

    def push(self, pcm16: bytes) -> bytes:
        """Take the next PCM16 chunk and return the bytes of the file that are ready, maybe none.

        Raises ValueError for half a sample, and after `finish`.
        """
        if self._finished:
            raise ValueError("the encoder was finished; start a new one for new audio")
        if len(pcm16) % 2:
            raise ValueError(f"PCM16 comes in whole samples of 2 bytes, got {len(pcm16)} bytes")
        if self._muxed is not None:
            return self._muxed.push(pcm16)
        header, self._header = self._header, b""
        return header + pcm16

    def finish(self) -> bytes:
        """End the stream and return the rest of the file. Raises ValueError when called twice."""
        rest = self.push(b"")
        self._finished = True
        return rest if self._muxed is None else rest + self._muxed.finish()


class _WriteOnlySink:
    """Collects the file that FFmpeg writes. It has no `seek`, so that FFmpeg cannot go back."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        written = bytes(self._written)
        self._written.clear()
        return written


class _MuxedStream:
    """Runs one FFmpeg encoder behind one muxer, fed in whole codec frames."""

    def __init__(self, coding: _Coding, rate: int) -> None:
        self._sink = _WriteOnlySink()
        self._container = av.open(
            self._sink, "w", format=coding.muxer, options={"flush_packets": "1", **coding.muxer_options}
        )
        stream = self._container.add_stream(coding.codec, rate=rate, options=coding.codec_options)
        self._stream = cast(AudioStream, stream)  # all codecs here are audio codecs
        self._stream.layout = "mono"
        self._stream.format = coding.sample_format
        if coding.bit_rate is not None:
            self._stream.bit_rate = coding.bit_rate
        self._stream.codec_context.thread_count = 1
        self._container.start_encoding()
        # Stream and container refer to each other. Closing breaks that circle, so that an encoder dropped in the middle
        # of a file frees its memory and its threads at once, and not when the garbage collector comes by.
        weakref.finalize(self, self._container.close).atexit = False
        self._coding = coding
        self._rate = rate
        self._frame_bytes = 2 * self._stream.codec_context.frame_size
        self._held = b""
        self._position_samples = 0

    def push(self, pcm16: bytes) -> bytes:
        held = self._held + pcm16
        whole = len(held) - len(held) % self._frame_bytes
        self._held = held[whole:]
        for start in range(0, whole, self._frame_bytes):
            self._encode(held[start : start + self._frame_bytes])
        return self._sink.take()

    def finish(self) -> bytes:
        if self._held:
            self._encode(self._held)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()

    def _encode(self, pcm16: bytes) -> None:
        samples = np.frombuffer(pcm16, dtype="<i2").astype(np.int16)[None]  # [1, samples]
        plane: NDArray[np.int16] | NDArray[np.float32] = samples
        if self._coding.sample_format == "fltp":
            plane = samples.astype(np.float32) * np.float32(self._coding.gain / 32768)
        frame = av.AudioFrame.from_ndarray(plane, format=self._coding.sample_format, layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._position_samples
        self._position_samples += samples.shape[1]
        self._container.mux(self._stream.encode(frame))
