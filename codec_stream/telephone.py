"""Codes G.711 in packets of 20 ms: 24 kHz PCM16 to 160 codes at 8 kHz, and back."""

from typing import Literal

import numpy as np

from codec_stream.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw
from codec_stream.waveform import PACKET_SAMPLES, PacketResampler, WaveformDecoder

Law = Literal["PCMU", "PCMA"]
_RATE_HZ = 8000
_ENCODE = {"PCMU": encode_mulaw, "PCMA": encode_alaw}
_DECODE = {"PCMU": decode_mulaw, "PCMA": decode_alaw}


class G711Encoder:
    """Encodes one stream of 24 kHz speech into packets of 160 bytes, by mu-law (PCMU) or A-law (PCMA)."""

    clock_ticks = 160

    def __init__(self, law: Law) -> None:
        self._codes = _ENCODE[law]
        self._resampler = PacketResampler(_RATE_HZ)

    def encode(self, pcm16: bytes) -> bytes:
        """Encode 480 samples of PCM16 into 160 bytes. Raises ValueError for any other length."""
        return self._codes(self._resampler.push(pcm16)).tobytes()

    def protect(self, on: bool) -> None:
        """Do nothing: packets of this encoding cannot make up for others."""

    def rest(self) -> bytes:
        """Return a payload of silence."""
        return self.encode(bytes(2 * PACKET_SAMPLES))


class G711Decoder(WaveformDecoder):
    """Decodes one stream of G.711 packets to PCM16 at 24 kHz."""

    def __init__(self, law: Law) -> None:
        pcm = _DECODE[law]
        super().__init__("G.711", _RATE_HZ, lambda payload: pcm(np.frombuffer(payload, dtype=np.uint8)))
