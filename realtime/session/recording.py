"""What the user has said and nobody has made an item of yet."""

from __future__ import annotations

from protocol.errors import Refused

_SHORTEST_S = 0.1


class Recording:
    """The input audio buffer: 16-bit mono PCM at `sample_rate`, at most `max_s` seconds of it. It holds the session's
    input audio from the sample `start` to before the sample `end`; 0 is the first that ever came."""

    def __init__(self, sample_rate: int, max_s: float) -> None:
        self._rate = sample_rate
        self._max_s = max_s
        self._pcm = bytearray()
        self.start = 0

    @property
    def end(self) -> int:
        return self.start + len(self._pcm) // 2

    def append(self, pcm: bytes, *, rolling: bool) -> None:
        """More audio. When it is full, a `rolling` one forgets its beginning (whoever detects turns has passed over
        it, or it comes whether anybody speaks or not), another raises Refused: the client decides what it meant to
        say."""
        if len(pcm) % 2:
            raise Refused("invalid_value", "PCM must be whole 16-bit samples of 2 bytes.", "audio")
        room = int(self._max_s * self._rate) * 2
        if len(self._pcm) + len(pcm) > room and not rolling:
            message = f"The input buffer holds at most {self._max_s:g} s; commit or clear it first."
            raise Refused("input_audio_buffer_full", message, "audio")
        self._pcm += pcm
        self._drop(max(0, len(self._pcm) - room))

    def check_enough(self) -> None:
        """Raises Refused when there is next to nothing to make an item of."""
        held_ms = len(self._pcm) * 500 / self._rate
        if held_ms < _SHORTEST_S * 1000:
            message = f"The input buffer holds {held_ms:.0f} ms of audio; append at least 100 ms before."
            raise Refused("input_audio_buffer_commit_empty", message)

    def upto(self, end: int) -> bytes:
        """A copy of all of it before the sample `end`."""
        return bytes(self._pcm[: max(0, end - self.start) * 2])

    def take(self, end: int) -> bytes:
        """All of it before the sample `end`; what is left begins there."""
        size = max(0, end - self.start) * 2
        pcm = bytes(self._pcm[:size])
        self._drop(size)
        return pcm

    def forget_before(self, sample: int) -> None:
        """Nobody will ask for what came before this sample."""
        self._drop(max(0, sample - self.start) * 2)

    def clear(self) -> None:
        """Forget it."""
        self._drop(len(self._pcm))

    def _drop(self, size: int) -> None:
        size = min(size, len(self._pcm))
        del self._pcm[:size]
        self.start += size // 2
