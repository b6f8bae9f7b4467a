"""Starts the other processes of the benchmark of attacks, and speaks with them.

Each writes a line of JSON when it has something to say, and goes on when it is sent a line.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, TypeVar

import msgspec

_LONGEST_LINE_BYTES = 1 << 26
_END_S = 30.0

_T = TypeVar("_T")


class Companion:
    """Speaks with a process, on the side that started it."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    def tell(self, line: str) -> None:
        """Send the process a line, so that it goes on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def said(self, kind: type[_T], within_s: float) -> _T:
        """Return the next thing the process says.

        Raises RuntimeError when it dies instead, TimeoutError when it says nothing within `within_s` seconds.
        """
        assert self._process.stdout is not None
        async with asyncio.timeout(within_s):
            line = await self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            left = self._errors.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"a process of the benchmark died: {left[-1] if left else 'it left no word'}")
        return msgspec.json.decode(line, type=kind)


@asynccontextmanager
async def companion(module: str, *arguments: str) -> AsyncIterator[Companion]:
    """Run `python -m module arguments` for as long as the context is entered. The process ends with its standard
    input.
    """
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=_LONGEST_LINE_BYTES,
        )
        try:
            yield Companion(process, errors)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(_END_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def say(word: object) -> None:
    """Send a word to the process that started this one, as a line of JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
    sys.stdout.flush()


async def told() -> str:
    """Return the next line that this process is sent; empty when there will be none."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()
