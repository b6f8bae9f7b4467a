"""Long audio in pieces that Whisper can take at once: cut at pauses, and put together again. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from codec_stream.rate import SAMPLE_RATE
from realtime.recognition.recogniser import Job, NothingHeard, Segment, Transcript, Word

LONGEST_S = 28.0
_EARLIEST_CUT_S = 14.0
_WINDOW_S = 0.02
_PAUSE_S = 0.3
BYTES_PER_S = 2 * SAMPLE_RATE
Timed = TypeVar("Timed", Segment, Word)


@dataclass(frozen=True)
class Piece:
    """A part of some audio, and where it begins in it."""

    start_s: float
    pcm: bytes


def seconds(pcm: bytes) -> float:
    """How long 24 kHz 16-bit mono PCM sounds."""
    return len(pcm) / BYTES_PER_S


def cut(pcm: bytes) -> Iterator[Piece]:
    """The audio (24 kHz 16-bit mono PCM) in pieces of at most 28 s. Each ends in the middle of the quietest 0.3 s of
    its second half; what is short enough stays whole."""
    at = 0
    while seconds(pcm[at:]) > LONGEST_S:
        end = at + 2 * int(_quietest(pcm[at : at + int(LONGEST_S * BYTES_PER_S)]) * SAMPLE_RATE)
        yield Piece(at / BYTES_PER_S, pcm[at:end])
        at = end
    yield Piece(at / BYTES_PER_S, pcm[at:])


def _quietest(pcm: bytes) -> float:
    """Where to cut, in seconds from the beginning."""
    window, several = int(_WINDOW_S * SAMPLE_RATE), round(_PAUSE_S / _WINDOW_S)
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    first = int(_EARLIEST_CUT_S / _WINDOW_S)
    levels = np.square(samples[: len(samples) // window * window].reshape(-1, window)).mean(axis=1)[first:]
    sums = np.convolve(levels, np.ones(several), mode="valid")
    return (first + int(np.argmin(sums)) + several / 2) * _WINDOW_S


async def understood(
    job: Job, understand: Callable[[Job], Awaitable[Transcript]]
) -> AsyncIterator[tuple[float, Transcript]]:
    """The transcripts of the pieces of a job's audio, each with where its piece begins, as `understand` makes them one
    after the other. Pieces without words are left out; raises NothingHeard if all are. The language of the first one is
    that of those behind it."""
    nothing: NothingHeard | None = None
    heard = False
    for piece in cut(job.pcm):
        try:
            part = await understand(replace(job, pcm=piece.pcm))
        except NothingHeard as error:
            nothing = error
            continue
        yield piece.start_s, part
        heard = True
        job = replace(job, language=job.language or ("" if job.translate else part.language))
    if nothing is not None and not heard:
        raise nothing


def joined(parts: Sequence[tuple[float, Transcript]], duration_s: float) -> Transcript:
    """One transcript of those of the pieces, each with where its piece began. The language is that of the first."""
    return Transcript(
        " ".join(part.text for _, part in parts if part.text),
        next((part.language for _, part in parts), ""),
        duration_s,
        tuple(moved(segment, start) for start, part in parts for segment in part.segments),
        tuple(moved(word, start) for start, part in parts for word in part.words),
    )


def moved(timed: Timed, by_s: float) -> Timed:
    """The same, so many seconds later."""
    return replace(timed, start_s=timed.start_s + by_s, end_s=timed.end_s + by_s)
