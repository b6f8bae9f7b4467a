"""Codes G.722 at 64 kbit/s in packets of 20 ms, by FFmpeg: 24 kHz PCM16 to 160 bytes at 16 kHz, and back.

Its RTP clock runs at 8000 Hz, though its audio has 16 kHz (RFC 3551, 4.5.2): one byte is one tick and two samples.
"""

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from codec_stream.waveform import PACKET_SAMPLES, PacketResampler, WaveformDecoder

_RATE_HZ = 16000


class G722Encoder:
    """Encodes one stream of 24 kHz speech into packets of 160 bytes."""

    clock_ticks = 160

    def __init__(self) -> None:
        self._codec = _codec("w")
        self._resampler = PacketResampler(_RATE_HZ)

    def encode(self, pcm16: bytes) -> bytes:
        """Encode 480 samples of PCM16 into 160 bytes. Raises ValueError for any other length."""
        wideband = self._resampler.push(pcm16)
        frame = av.AudioFrame.from_ndarray(wideband[None], format="s16", layout="mono")
        frame.sample_rate = _RATE_HZ
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))

    def protect(self, on: bool) -> None:
        """Do nothing: packets of this encoding cannot make up for others."""

    def rest(self) -> bytes:
        """Return a payload of silence."""
        return self.encode(bytes(2 * PACKET_SAMPLES))


class G722Decoder(WaveformDecoder):
    """Decodes one stream of G.722 packets to PCM16 at 24 kHz."""

    def __init__(self) -> None:
        codec = _codec("r")

        def samples(payload: bytes) -> NDArray[np.int16]:
            return np.concatenate([frame.to_ndarray()[0] for frame in codec.decode(av.Packet(payload))])

        super().__init__("G.722", _RATE_HZ, samples)


def _codec(mode: Literal["r", "w"]) -> AudioCodecContext:
    codec = av.CodecContext.create("g722", mode)
    codec.sample_rate, codec.layout, codec.format = _RATE_HZ, "mono", "s16"
    return codec
