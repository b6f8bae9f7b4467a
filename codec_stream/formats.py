"""Converts speech on the wire: PCM16 at 24 kHz to and from the sample formats that callers ask for.

Every rate change goes through `StreamResampler`: any chunking gives the same bytes, 3.1 ms are kept back.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from codec_stream.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw
from codec_stream.rate import SAMPLE_RATE
from codec_stream.resample import StreamResampler

Encoding = Literal["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
SAMPLE_BYTES: dict[Encoding, int] = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}
# Full scale of float samples, as in libsndfile and FFmpeg: PCM16 survives the way there and back.
_FULL_SCALE = 32768.0


class SpeechEncoder:
    """Converts one stream of PCM16 to the format `encoding` at `rate` Hz; PCM16 at its own rate passes untouched.

    n samples become ceil(n * rate / source_rate). Raises ValueError for an encoding or a rate that is not served.
    """

    def __init__(self, encoding: Encoding, rate: int, source_rate: int = SAMPLE_RATE) -> None:
        _check_format(encoding, rate, source_rate)
        self._encoding = encoding
        self._resampler = StreamResampler(source_rate, rate)

    def push(self, pcm16: bytes) -> bytes:
        """Take the next PCM16 chunk and return what is ready, maybe nothing. Raises ValueError for half a sample."""
        return _encode(self._encoding, self._resampler.push(_decode("pcm_s16le", pcm16)))

    def flush(self) -> bytes:
        """End the stream and return the rest of it. Raises ValueError when called twice."""
        return _encode(self._encoding, self._resampler.flush())


class SpeechDecoder:
    """Converts one stream in the format `encoding` at `rate` Hz to PCM16; PCM16 at the target's rate passes untouched.

    n samples become ceil(n * target_rate / rate). Raises ValueError for an encoding or a rate that is not served.
    """

    def __init__(self, encoding: Encoding, rate: int, target_rate: int = SAMPLE_RATE) -> None:
        _check_format(encoding, rate, target_rate)
        self._encoding = encoding
        self._resampler = StreamResampler(rate, target_rate)

    def push(self, audio: bytes) -> bytes:
        """Take the next chunk and return the PCM16 that is ready, maybe nothing.

        Float samples beyond full scale are clipped. Raises ValueError for half a sample and for NaN, which has no
        level.
        """
        return _encode("pcm_s16le", self._resampler.push(_decode(self._encoding, audio)))

    def flush(self) -> bytes:
        """End the stream and return the rest of it as PCM16. Raises ValueError when called twice."""
        return _encode("pcm_s16le", self._resampler.flush())


def _check_format(encoding: Encoding, *rates: int) -> None:
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding is {encoding!r}; use one of {', '.join(ENCODINGS)}")
    for rate in rates:
        if rate not in RATES_HZ:
            raise ValueError(f"sample rate is {rate} Hz; use one of {', '.join(map(str, RATES_HZ))}")


def _encode(encoding: Encoding, pcm: NDArray[np.int16]) -> bytes:
    match encoding:
        case "pcm_s16le":
            return pcm.astype("<i2").tobytes()
        case "pcm_f32le":
            return (pcm / _FULL_SCALE).astype("<f4").tobytes()
        case "pcm_mulaw":
            return encode_mulaw(pcm).tobytes()
        case "pcm_alaw":
            return encode_alaw(pcm).tobytes()


def _decode(encoding: Encoding, audio: bytes) -> NDArray[np.int16]:
    if len(audio) % SAMPLE_BYTES[encoding]:
        raise ValueError(
            f"{encoding} comes in whole samples of {SAMPLE_BYTES[encoding]} bytes, got {len(audio)} bytes; "
            "send the rest of the sample with it"
        )
    match encoding:
        case "pcm_s16le":
            return np.frombuffer(audio, dtype="<i2").astype(np.int16)
        case "pcm_f32le":
            samples = np.frombuffer(audio, dtype="<f4")
            if np.isnan(samples).any():
                raise ValueError("the pcm_f32le audio holds NaN samples; send numbers from -1 to 1")
            with np.errstate(over="ignore"):
                return np.clip(np.rint(samples * np.float32(_FULL_SCALE)), -32768, 32767).astype(np.int16)
        case "pcm_mulaw":
            return decode_mulaw(np.frombuffer(audio, dtype=np.uint8))
        case "pcm_alaw":
            return decode_alaw(np.frombuffer(audio, dtype=np.uint8))
