"""Scope: G.711 as packets of 20 ms: 24 kHz PCM16 to 160 codes at 8 kHz, and back."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codec_stream.concealment import ConcealedStream
from codec_stream.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw
from codec_stream.resample import StreamResampler

Law = Literal["PCMU", "PCMA"]
PACKET_SAMPLES = 480
_RATE_HZ, _HOUSE_RATE_HZ = 8000, 24000
_ENCODE = {"PCMU": encode_mulaw, "PCMA": encode_alaw}
_DECODE = {"PCMU": decode_mulaw, "PCMA": decode_alaw}


class PacketResampler:
    """24 kHz speech in packets of 20 ms to `rate` Hz; every packet gives its whole length, 3.2 ms late."""

    def __init__(self, rate: int) -> None:
        self._resampler = StreamResampler(_HOUSE_RATE_HZ, rate)
        # Silence fills what the filter keeps back.
        self._resampler.push(np.zeros(PACKET_SAMPLES, dtype=np.int16))

    def push(self, pcm16: bytes) -> NDArray[np.int16]:
        """480 samples of PCM16 -> [rate / 50 samples]. ValueError for any other length."""
        if len(pcm16) != 2 * PACKET_SAMPLES:
            raise ValueError(f"a packet takes {PACKET_SAMPLES} samples of 2 bytes, got {len(pcm16)} bytes")
        return self._resampler.push(np.frombuffer(pcm16, dtype="<i2").astype(np.int16))


class G711Encoder:
    """One stream of 24 kHz speech to packets of 160 bytes, by mu-law (PCMU) or A-law (PCMA)."""

    clock_ticks = 160

    def __init__(self, law: Law) -> None:
        self._codes = _ENCODE[law]
        self.reset()

    def encode(self, pcm16: bytes) -> bytes:
        """480 samples of PCM16 -> 160 bytes. ValueError for any other length."""
        return self._codes(self._resampler.push(pcm16)).tobytes()

    def reset(self) -> None:
        """Forgets the audio so far."""
        self._resampler = PacketResampler(_RATE_HZ)


class G711Decoder:
    """One stream of G.711 packets to PCM16 at 24 kHz, 3.2 ms late; what is missing is concealed."""

    def __init__(self, law: Law) -> None:
        self._pcm = _DECODE[law]
        self._stream = ConcealedStream(_RATE_HZ)

    def decode(self, payload: bytes) -> bytes:
        """n bytes -> 3 n samples of PCM16. ValueError for an empty payload."""
        if not payload:
            raise ValueError("a packet of G.711 holds at least one byte, got none")
        return self._stream.hear(self._pcm(np.frombuffer(payload, dtype=np.uint8)))

    def repeats_previous(self, payload: bytes) -> bool:
        """Never: each packet holds only itself."""
        return False

    def recover(self, next_payload: bytes, samples: int) -> bytes:
        """As `conceal`: nothing of the audio before a packet is in it."""
        return self.conceal(samples)

    def conceal(self, samples: int) -> bytes:
        """What may have been said in the next `samples`, a multiple of 60. ValueError for any other number."""
        return self._stream.conceal(samples)
