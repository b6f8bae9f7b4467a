"""Scope: decoded audio -> PCM16 packets that know their place in the stream.

Pure: no clock, no I/O; media time is an integer count of samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_BYTES = 2
# 20 ms at 24 kHz.
PACKET_SAMPLES = 480


def to_pcm16(audio: NDArray[np.floating]) -> bytes:
    """audio [samples], full scale 1 -> PCM16 little endian, rounded to the nearest step, clipped and never wrapped.

    ValueError for NaN, which has no level: the stream it came from is broken and should end as failed.
    """
    if np.isnan(audio).any():
        raise ValueError("the audio holds NaN samples")
    steps: NDArray[np.int16] = np.clip(np.rint(audio * 32767.0), -32768, 32767).astype("<i2")
    return steps.tobytes()


@dataclass(frozen=True, slots=True)
class Packet:
    """A piece of a mono PCM16 stream; its first sample is number `position_samples` of that stream."""

    position_samples: int
    pcm: bytes

    @property
    def samples(self) -> int:
        """Length in samples."""
        return len(self.pcm) // SAMPLE_BYTES


class Packetiser:
    """Cuts one stream of PCM16 chunks of any size into packets of `packet_samples`; holds less than one packet."""

    def __init__(self, packet_samples: int = PACKET_SAMPLES) -> None:
        if packet_samples < 1:
            raise ValueError(f"packet_samples is {packet_samples}, expected at least 1")
        self._packet_bytes = packet_samples * SAMPLE_BYTES
        self._held = b""
        self._position_samples = 0

    def push(self, pcm: bytes) -> list[Packet]:
        """Takes the next chunk and returns the packets it completes. ValueError when it is not whole samples."""
        if len(pcm) % SAMPLE_BYTES:
            raise ValueError(f"PCM16 comes in whole samples of {SAMPLE_BYTES} bytes, got {len(pcm)} bytes")
        held = self._held + pcm
        whole_bytes = len(held) - len(held) % self._packet_bytes
        self._held = held[whole_bytes:]
        starts = range(0, whole_bytes, self._packet_bytes)
        return [self._packet(held[start : start + self._packet_bytes]) for start in starts]

    def flush(self) -> list[Packet]:
        """Returns what is held as a last, shorter packet, if there is any; positions go on if more is pushed."""
        held, self._held = self._held, b""
        return [self._packet(held)] if held else []

    def _packet(self, pcm: bytes) -> Packet:
        packet = Packet(self._position_samples, pcm)
        self._position_samples += packet.samples
        return packet
