"""Defines what the processes of the benchmark of calls say to each other.

They exchange one JSON object a line: a question on standard input, its answer on standard output.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import IO, Literal, TypeVar

import msgspec

_LONGEST_LINE_BYTES = 1 << 24

Sound = Literal["speech", "silence"]


class _Message(msgspec.Struct, frozen=True, tag=True):
    pass


class MakeOffers(_Message, frozen=True):
    """Asks the callers to get ready for `count` calls. Answered by `Offers`."""

    count: int


class Offers(_Message, frozen=True):
    """Carries the offers of new calls."""

    sdp: list[str]


class AnswerOffers(_Message, frozen=True):
    """Asks a host to take these calls. Answered by `Answers`."""

    sdp: list[str]


class Answers(_Message, frozen=True):
    """Carries a host's answers, in the order of the offers."""

    sdp: list[str]


class Connect(_Message, frozen=True):
    """Gives the callers the answers to the last offers. Answered by `Connected`, when media can flow."""

    sdp: list[str]


class Connected(_Message, frozen=True):
    """Says that calls are connected. `Talk` names them by `group`."""

    group: int


class Play(_Message, frozen=True):
    """Asks a host to play to every caller, first for `warm_s` and then, measured, for `seconds`. Answered by `Played`.

    With `detect` it looks for speech in what they say.
    """

    sound: Sound
    detect: bool
    warm_s: float
    seconds: float


class Played(_Message, frozen=True):
    """Tells what playing took.

    `cpu_s` is the CPU time of the whole process, `hearing_cpu_s` that of the one that hears beside it. `sent` and
    `heard` count packets. `late_us` is for every packet how long after it was due its sender woke up, in microseconds.
    """

    cpu_s: float
    hearing_cpu_s: float
    wall_s: float
    sent: int
    heard: float
    late_us: list[int]


class Talk(_Message, frozen=True):
    """Asks the callers to say something to the host of a group, as long as it plays. Answered by `Heard`.

    With `lossy` they report that they miss some of what it plays.
    """

    group: int
    sound: Sound
    lossy: bool
    warm_s: float
    seconds: float


class Heard(_Message, frozen=True):
    """Tells what the callers heard.

    `said` counts the packets they sent. `late_us` is when packets arrived, against the best of their call by their
    timestamps, in microseconds. `own_late_us` is how late their own went out, which says how busy the machine was.
    """

    said: int
    late_us: list[int]
    own_late_us: list[int]


Question = MakeOffers | Connect | Talk | AnswerOffers | Play
Reply = Offers | Connected | Heard | Answers | Played
_Expected = TypeVar("_Expected", bound=Reply)


class Child:
    """Asks questions of a process."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    async def ask(self, question: Question, expected: type[_Expected], within_s: float) -> _Expected:
        """Ask a question, and return the answer.

        Raises RuntimeError when the process dies of the question, TimeoutError when it says nothing within `within_s`
        seconds.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(question) + b"\n")
        async with asyncio.timeout(within_s):
            line = await self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"a process of the benchmark died: {said[-1] if said else 'it left no word'}")
        return msgspec.json.decode(line, type=expected)


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[Child]:
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
            yield Child(process, errors)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def answer_questions(answer: Callable[[Question], Awaitable[Reply]]) -> None:
    """Answer the questions of the process that started this one, until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(_LONGEST_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        reply = await answer(msgspec.json.decode(line, type=Question))
        sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
        sys.stdout.flush()
