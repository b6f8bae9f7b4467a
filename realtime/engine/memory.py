"""Memory that the allocator holds though nobody uses it, given back to the machine."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Give freed memory back. glibc keeps what a large computation leaves behind, hundreds of megabytes after a clip of
    half a minute; where there is no glibc there is nothing to do."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
