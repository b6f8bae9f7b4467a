"""Scope: the other processes of the benchmark of attacks: each says a line of JSON when it has something to say, and
goes on when it is told a line."""

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
    """A process, as the one that started it sees it."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    def tell(self, line: str) -> None:
        """It may go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def said(self, kind: type[_T], within_s: float) -> _T:
        """The next thing it says. RuntimeError when it dies instead, TimeoutError when it says nothing."""
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
    """`python -m module arguments`; it ends with its standard input."""
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
    """Said by the process itself."""
    sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
    sys.stdout.flush()


async def told() -> str:
    """The next line it is told; empty when there will be none."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()
