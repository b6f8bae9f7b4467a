"""Explains in one sentence, to the person who started it, why an engine could not get ready.

It knows torch's errors by their words alone: if torch itself cannot be imported, that has to be told too.
"""

from __future__ import annotations

import logging
import re

from codec_stream.errors import AudioError, CheckpointError
from realtime.engine.errors import EngineError, one_line

log = logging.getLogger("voiced.engine")

_CUDA_ASKED = re.compile(r"Tried to allocate ([\d.]+ \w+)")
_CUDA_FREE = re.compile(r"of which ([\d.]+ \w+) is free")
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory")
_CPU_ASKED = re.compile(r"you tried to allocate (\d+) bytes")


def load_failure(error: Exception, stage: str) -> str:
    """Return the sentence for what was raised while `stage` was under way.

    An error that is not foreseen here is logged with its traceback.
    """
    if isinstance(error, CheckpointError | EngineError | AudioError):
        return str(error)
    message = one_line(error)
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(message):
        return _out_of_memory(error, stage)
    if isinstance(error, OSError):
        return f"{stage}: {message}"
    log.error("loading failed (%s)", stage, exc_info=error)
    return f"{stage}: failed unexpectedly ({type(error).__name__}: {message}); the log holds the details."


def _out_of_memory(error: Exception, stage: str) -> str:
    message = " ".join(str(error).split())
    facts = []
    if asked := _CUDA_ASKED.search(message):
        facts.append(f"{asked[1]} were asked for")
        if free := _CUDA_FREE.search(message):
            facts.append(f"{free[1]} were free")
    elif asked := _CPU_ASKED.search(message):
        facts.append(f"{int(asked[1]) / 2**30:.2f} GiB were asked for")
        if available := _available_bytes():
            facts.append(f"{available / 2**30:.2f} GiB were free")
    told = f" ({', '.join(facts)})" if facts else ""
    return (
        f"{stage}: there is not enough memory{told}; free some, or use fewer --slots, --kv-positions or another model."
    )


def _available_bytes() -> int | None:
    """Return how many bytes the kernel thinks can still be had, or None where it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
