"""Decides what a listener hears next where the server plays: the speech of one response after another, in packets.

Pure: it is told what is to be played, and asked for one packet every 20 ms. A response starts once a little of it has
come, so that the next chunk is there before the first is over. One that runs dry waits for as much again.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from codec_stream.rate import SAMPLE_RATE

PACKET_SAMPLES = 480
"""How many samples a packet holds: 20 ms."""

_SAMPLE_BYTES = 2
_PREBUFFER_BYTES = SAMPLE_RATE * 60 // 1000 * _SAMPLE_BYTES
"""How much of a response has to be there before it starts (60 ms), as an engine makes 40 ms at a time."""

_FADE_SAMPLES = 120
"""In how many samples speech that is taken back fades out (5 ms). If it ended at once, that would be a click."""


SILENCE = bytes(PACKET_SAMPLES * _SAMPLE_BYTES)


@dataclass(frozen=True)
class Packet:
    """Holds 20 ms of PCM. `played` says how many samples of it belong to which response.

    The rest is silence, or speech that was taken back and fades out.
    """

    pcm: bytes
    played: tuple[tuple[str, int], ...] = ()


@dataclass
class _Speech:
    """Holds the speech of one response that is not played yet.

    `finished` says that no more comes, `playing` that it has started since it last ran dry.
    """

    unplayed: bytearray = field(default_factory=bytearray)
    finished: bool = False
    playing: bool = False


class PlayQueue:
    """Keeps speech by response, in the order in which the responses first gave any."""

    def __init__(self) -> None:
        self._speeches: dict[str, _Speech] = {}
        self._fading = b""

    def put(self, response_id: str, pcm: bytes) -> None:
        """Add speech of a response."""
        self._speeches.setdefault(response_id, _Speech()).unplayed += pcm

    def finish(self, response_id: str) -> None:
        """Note that no more speech of a response follows."""
        speech = self._speeches.get(response_id)
        if speech is not None:
            speech.finished = True
            if not speech.unplayed:
                del self._speeches[response_id]

    def drop(self, response_id: str) -> None:
        """Take back what has not been played of a response. If it is being heard, it fades out."""
        is_next = next(iter(self._speeches), None) == response_id
        speech = self._speeches.pop(response_id, None)
        if speech is not None and is_next and speech.playing:
            self._fading = _faded(bytes(speech.unplayed[: _FADE_SAMPLES * _SAMPLE_BYTES]))

    def take(self) -> Packet:
        """Remove the next 20 ms and return them."""
        pcm, self._fading = self._fading, b""
        played: list[tuple[str, int]] = []
        while len(pcm) < len(SILENCE) and self._speeches:
            response_id, speech = next(iter(self._speeches.items()))
            if not speech.playing and not speech.finished and len(speech.unplayed) < _PREBUFFER_BYTES:
                break
            speech.playing = True
            part = bytes(speech.unplayed[: len(SILENCE) - len(pcm)])
            del speech.unplayed[: len(part)]
            pcm += part
            if part:
                played.append((response_id, len(part) // _SAMPLE_BYTES))
            if speech.finished and not speech.unplayed:
                del self._speeches[response_id]
            elif len(pcm) < len(SILENCE):
                speech.playing = False
                break
        return Packet(pcm.ljust(len(SILENCE), b"\0"), tuple(played))


def _faded(pcm: bytes) -> bytes:
    samples = array("h", pcm)
    count = len(samples)
    return array("h", [sample * (count - at) // count for at, sample in enumerate(samples)]).tobytes()
