"""Lists who speaks: the two speakers of the teacher that are learned from, and the voices that are made of them.

`training/VOICES.md` says why these speakers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speaker:
    """Describes a voice of the teacher."""

    name: str
    gain: float  # that brings the teacher's level to ours


@dataclass(frozen=True)
class Voice:
    """Describes a voice of ours: a speaker with pitch times `ratio` and formants times `warp`.

    Its number is its place in `VOICES`.
    """

    name: str
    description: str
    speaker: int
    ratio: float = 1.0
    warp: float = 1.0


SPEAKERS = (Speaker("af_heart", 1.4), Speaker("am_michael", 1.0))
VOICES = (
    Voice("sam", "a man, even", 1),
    Voice("ada", "a woman, warm", 0),
    Voice("otto", "a man, deep", 1, ratio=0.86, warp=0.94),
)
"""There may be at most fifteen: voice 15 of the last codebook stands for a voice that is not shown."""
NOBODY = 15


def gain_of(name: str) -> float:
    """Return the gain of a speaker; 1 for one that is not among `SPEAKERS`."""
    return next((speaker.gain for speaker in SPEAKERS if speaker.name == name), 1.0)


def voices_of(speaker: int) -> list[int]:
    """Return the numbers of the voices that are made of a speaker."""
    return [number for number, voice in enumerate(VOICES) if voice.speaker == speaker]
