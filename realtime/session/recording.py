"""What the user has said and nobody has made an item of yet."""

from __future__ import annotations

from realtime.session.errors import Refused

_SHORTEST_S = 0.1


class Recording:
    """The input audio buffer: 16-bit mono PCM at `sample_rate`, at most `max_s` seconds of it."""

    def __init__(self, sample_rate: int, max_s: float) -> None:
        self._rate = sample_rate
        self._max_s = max_s
        self._pcm = bytearray()

    @property
    def seconds(self) -> float:
        return len(self._pcm) / 2 / self._rate

    def append(self, pcm: bytes, *, rolling: bool) -> None:
        """More audio. When it is full, a `rolling` one forgets its beginning (whoever detects turns has passed over
        it), another raises Refused: the client decides what it meant to say."""
        if len(pcm) % 2:
            raise Refused("invalid_value", "PCM must be whole 16-bit samples of 2 bytes.", "audio")
        room = int(self._max_s * self._rate) * 2
        if len(self._pcm) + len(pcm) > room and not rolling:
            message = f"The input buffer holds at most {self._max_s:g} s; commit or clear it first."
            raise Refused("input_audio_buffer_full", message, "audio")
        self._pcm += pcm
        del self._pcm[: max(0, len(self._pcm) - room)]

    def take(self) -> bytes:
        """All of it; it is empty afterwards. Raises Refused when there is next to nothing."""
        if self.seconds < _SHORTEST_S:
            message = f"The input buffer holds {self.seconds * 1000:.0f} ms of audio; append at least 100 ms before."
            raise Refused("input_audio_buffer_commit_empty", message)
        pcm = bytes(self._pcm)
        self._pcm.clear()
        return pcm

    def clear(self) -> None:
        """Forget it."""
        self._pcm.clear()
