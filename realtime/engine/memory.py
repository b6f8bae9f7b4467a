"""Gives memory that the allocator holds unused back to the machine."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Give freed memory back to the machine.

    glibc keeps what a large computation leaves behind, hundreds of megabytes after a clip of half a minute. Where there
    is no glibc this does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
