"""Holds what G.711 and G.722 share: 24 kHz speech in packets to and from the codec's own rate, with gaps concealed.

Each way takes 3.2 ms, what the resampler keeps back. Silence fills that before the first packet, so that every packet
gives its whole length.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from codec_stream.concealment import Concealer
from codec_stream.rate import SAMPLE_RATE
from codec_stream.resample import StreamResampler

PACKET_SAMPLES = 480
STEP_SAMPLES = 60  # gaps come in whole steps of 2.5 ms


class PacketResampler:
    """Resamples 24 kHz speech in packets of 20 ms to `rate` Hz."""

    def __init__(self, rate: int) -> None:
        self._resampler = StreamResampler(SAMPLE_RATE, rate)
        self._resampler.push(np.zeros(PACKET_SAMPLES, dtype=np.int16))

    def push(self, pcm16: bytes) -> NDArray[np.int16]:
        """Resample 480 samples of PCM16 -> [rate / 50 samples]. Raises ValueError for any other length."""
        if len(pcm16) != 2 * PACKET_SAMPLES:
            raise ValueError(f"a packet takes {PACKET_SAMPLES} samples of 2 bytes, got {len(pcm16)} bytes")
        return self._resampler.push(np.frombuffer(pcm16, dtype="<i2").astype(np.int16))


class WaveformDecoder:
    """Decodes one stream of a waveform codec's packets to PCM16 at 24 kHz; what is missing is concealed.

    `name` is the codec's, for errors. `samples` turns a payload into [samples at `rate`].
    """

    def __init__(self, name: str, rate: int, samples: Callable[[bytes], NDArray[np.int16]]) -> None:
        self._name, self._rate, self._samples = name, rate, samples
        self._concealer = Concealer(rate)
        self._resampler = StreamResampler(rate, SAMPLE_RATE)
        self._resampler.push(np.zeros(rate // 50, dtype=np.int16))

    def decode(self, payload: bytes) -> bytes:
        """Decode n bytes, an eighth of a millisecond each, to 3 n samples of PCM16. Raises ValueError for an empty
        payload.
        """
        if not payload:
            raise ValueError(f"a packet of {self._name} holds at least one byte, got none")
        return self._resampled(self._concealer.hear(self._samples(payload)))

    def repeats_previous(self, payload: bytes) -> bool:
        """Return False: each packet holds only itself."""
        return False

    def recover(self, next_payload: bytes, samples: int) -> bytes:
        """Make up `samples` as `conceal` does: a packet holds nothing of the audio before it."""
        return self.conceal(samples)

    def conceal(self, samples: int) -> bytes:
        """Make up what may have been said in the next `samples`, a multiple of 60. Raises ValueError for any other
        number.
        """
        if samples < 0 or samples % STEP_SAMPLES:
            raise ValueError(f"missing audio comes in multiples of {STEP_SAMPLES} samples, got {samples}")
        return self._resampled(self._concealer.conceal(samples * self._rate // SAMPLE_RATE))

    def _resampled(self, pcm: NDArray[np.int16]) -> bytes:
        # Concealed audio passes the filter as well, or the filter would join the audio on both sides of a gap.
        return self._resampler.push(pcm).astype("<i2").tobytes()
