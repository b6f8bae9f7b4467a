"""Who speaks: the two voices that are learned from the teacher. `VOICES.md` says why these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speaker:
    """A voice of the teacher."""

    name: str
    description: str


SPEAKERS = (
    Speaker("af_heart", "a woman, warm"),
    Speaker("am_michael", "a man, even"),
)
