"""Defines what can go wrong between a request and its audio.

Every error here carries a sentence for a person; the gateway turns it into one wire event.
"""

from __future__ import annotations


class EngineError(Exception):
    """Is the base of the errors that a caller of the engine may see; `str(error)` is one sentence with the fix."""


class RequestError(EngineError):
    """Says that a request cannot be served as it is (bad text, unknown voice, too long); `field` names what is
    wrong.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Silent(EngineError):
    """Says that the text to speak has no sound (markup alone): the request is over before it has begun."""


class Overloaded(EngineError):
    """Says that there is no slot, no page or no time left for one more stream; a client may try again shortly."""


def one_line(error: BaseException) -> str:
    """Return what an error of a library says, on one line, without the C++ frames that torch appends."""
    said = " ".join(str(error).partition("\nException raised from")[0].split())
    return said[:300] if said else type(error).__name__
