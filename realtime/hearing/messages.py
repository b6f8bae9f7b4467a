"""Typed messages between the gateway and the process that hears: audio in, one message of scores a pass back.

PCM is 16-bit little endian mono at 24 kHz. `stream` names what one listener says; the gateway gives the numbers, each
once.
"""

from __future__ import annotations

import msgspec


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """A stream begins."""

    stream: int


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    """More of a stream, in pieces of any size. Whole windows get exactly one score each, in order."""

    stream: int
    pcm: bytes


class Rest(msgspec.Struct, frozen=True, tag="rest"):
    """A stream is over; the audio before this is still scored."""

    stream: int


Inbound = Listen | Audio | Rest


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The first message: who listens, by name."""

    detector: str


class StreamScores(msgspec.Struct, frozen=True, array_like=True):
    """How likely speech is, from 0 to 1, in the next windows of a stream."""

    stream: int
    scores: tuple[float, ...]


class Scores(msgspec.Struct, frozen=True, tag="scores"):
    """What one pass found, in all streams."""

    streams: list[StreamScores]


Outbound = Ready | Scores
