"""Keeps what the user has said until an item is made of it."""

from __future__ import annotations

from protocol.errors import Refused

_SHORTEST_S = 0.1


class Recording:
    """Holds the input audio buffer: 16-bit mono PCM at `sample_rate`, at most `max_s` seconds of it.

    That is the session's input audio from the sample `start` to before the sample `end`; 0 is the first that ever came.
    """

    def __init__(self, sample_rate: int, max_s: float) -> None:
        self._rate = sample_rate
        self._max_s = max_s
        self._pcm = bytearray()
        self.start = 0

    @property
    def end(self) -> int:
        """Return the sample after the last one that is held."""
        return self.start + len(self._pcm) // 2

    def append(self, pcm: bytes, *, rolling: bool) -> None:
        """Add audio. Raises Refused for half a sample.

        When the buffer is full and `rolling`, its beginning is dropped: either turn detection has passed over that, or
        audio comes whether anybody speaks or not. When it is full and not `rolling`, Refused is raised, so that the
        client decides what it meant to say.
        """
        if len(pcm) % 2:
            raise Refused("invalid_value", "PCM must be whole 16-bit samples of 2 bytes.", "audio")
        room = int(self._max_s * self._rate) * 2
        if len(self._pcm) + len(pcm) > room and not rolling:
            message = f"The input buffer holds at most {self._max_s:g} s; commit or clear it first."
            raise Refused("input_audio_buffer_full", message, "audio")
        self._pcm += pcm
        self._drop(max(0, len(self._pcm) - room))

    def check_enough(self) -> None:
        """Raise Refused when there is too little audio to make an item of."""
        held_ms = len(self._pcm) * 500 / self._rate
        if held_ms < _SHORTEST_S * 1000:
            message = f"The input buffer holds {held_ms:.0f} ms of audio; append at least 100 ms before."
            raise Refused("input_audio_buffer_commit_empty", message)

    def upto(self, end: int) -> bytes:
        """Return a copy of the audio before the sample `end`."""
        return bytes(self._pcm[: max(0, end - self.start) * 2])

    def take(self, end: int) -> bytes:
        """Remove the audio before the sample `end`, and return it."""
        size = max(0, end - self.start) * 2
        pcm = bytes(self._pcm[:size])
        self._drop(size)
        return pcm

    def forget_before(self, sample: int) -> None:
        """Drop the audio before `sample`."""
        self._drop(max(0, sample - self.start) * 2)

    def clear(self) -> None:
        """Drop all audio."""
        self._drop(len(self._pcm))

    def _drop(self, size: int) -> None:
        size = min(size, len(self._pcm))
        del self._pcm[:size]
        self.start += size // 2
