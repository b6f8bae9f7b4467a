"""Scope: G.722 at 64 kbit/s as packets of 20 ms: 24 kHz PCM16 to 160 bytes at 16 kHz, and back, by FFmpeg.

Its RTP clock runs at 8000 Hz, though its audio has 16 kHz (RFC 3551, 4.5.2): one byte is one tick and two samples.
"""

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from codec_stream.concealment import ConcealedStream
from codec_stream.telephone import PacketResampler

_RATE_HZ = 16000


class G722Encoder:
    """One stream of 24 kHz speech to packets of 160 bytes."""

    clock_ticks = 160

    def __init__(self) -> None:
        self.reset()

    def encode(self, pcm16: bytes) -> bytes:
        """480 samples of PCM16 -> 160 bytes. ValueError for any other length."""
        wideband = self._resampler.push(pcm16)
        frame = av.AudioFrame.from_ndarray(wideband[None], format="s16", layout="mono")
        frame.sample_rate = _RATE_HZ
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))

    def reset(self) -> None:
        """Forgets the audio so far."""
        self._codec = _codec("w")
        self._resampler = PacketResampler(_RATE_HZ)


class G722Decoder:
    """One stream of G.722 packets to PCM16 at 24 kHz, 3.2 ms late; what is missing is concealed."""

    def __init__(self) -> None:
        self._codec = _codec("r")
        self._stream = ConcealedStream(_RATE_HZ)

    def decode(self, payload: bytes) -> bytes:
        """n bytes -> 3 n samples of PCM16. ValueError for an empty payload."""
        if not payload:
            # To FFmpeg an empty packet is the end of the stream.
            raise ValueError("a packet of G.722 holds at least one byte, got none")
        frames = self._codec.decode(av.Packet(payload))
        return self._stream.hear(np.concatenate([frame.to_ndarray()[0] for frame in frames]))

    def repeats_previous(self, payload: bytes) -> bool:
        """Never: each packet holds only itself."""
        return False

    def recover(self, next_payload: bytes, samples: int) -> bytes:
        """As `conceal`: nothing of the audio before a packet is in it."""
        return self.conceal(samples)

    def conceal(self, samples: int) -> bytes:
        """What may have been said in the next `samples`, a multiple of 60. ValueError for any other number."""
        return self._stream.conceal(samples)


def _codec(mode: Literal["r", "w"]) -> AudioCodecContext:
    codec = av.CodecContext.create("g722", mode)
    codec.sample_rate, codec.layout, codec.format = _RATE_HZ, "mono", "s16"
    return codec
