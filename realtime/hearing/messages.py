"""Defines the messages between the gateway and the process that hears: audio goes there, scores come back.

The process sends one message of scores for each pass over what has arrived. PCM is 16-bit little endian mono at 24 kHz.
`stream` is the number of one listener's stream; the gateway gives each number out once.
"""

from __future__ import annotations

import msgspec


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """Begins a stream."""

    stream: int


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    """Carries more audio of a stream, in pieces of any size. Whole windows get exactly one score each, in order."""

    stream: int
    pcm: bytes


class Rest(msgspec.Struct, frozen=True, tag="rest"):
    """Ends a stream. The audio that came before is still scored."""

    stream: int


Inbound = Listen | Audio | Rest


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Opens the conversation: the process names the detector that it listens with."""

    detector: str


class StreamScores(msgspec.Struct, frozen=True, array_like=True):
    """Tells how likely speech is, from 0 to 1, in each of the next windows of a stream."""

    stream: int
    scores: tuple[float, ...]


class Scores(msgspec.Struct, frozen=True, tag="scores"):
    """Carries what one pass found, in all streams."""

    streams: list[StreamScores]


Outbound = Ready | Scores
