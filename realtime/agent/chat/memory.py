"""What a session's brain remembers of a long conversation: a summary of its beginning, and the rest word for word.

What is sent to the endpoint changes in strides, not from turn to turn: most requests begin as the one before did.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from realtime.agent.brain import BrainFailure
from realtime.agent.chat.messages import Group, clipped, transcript

log = logging.getLogger("voiced.brain")

Summarise = Callable[[str, str], Awaitable[str]]
"""Given the summary so far and what was said after it, gives the summary of both. Raises BrainFailure."""


@dataclass(frozen=True)
class Context:
    """Holds what of the conversation is sent: `summary` of its beginning (empty: none), and the groups after it."""

    summary: str
    groups: list[Group]


class Memory:
    """Remembers one session, within `most_chars` characters. `summarise` works in the background.

    A summary is due at three quarters of the bound and covers all but the newest three eighths of it. Where it fails,
    or comes too late, the oldest are left out without one.
    """

    def __init__(self, most_chars: int, summarise: Summarise) -> None:
        self._most = most_chars
        self._summarise = summarise
        self._summary = ""
        self._covered: frozenset[str] = frozenset()
        self._due: list[Group] = []
        self._task: asyncio.Task[None] | None = None

    def context(self, groups: Sequence[Group]) -> Context:
        """Give what is sent of a conversation, the last turn always."""
        groups = clipped(groups, self._most // 2)
        there = {item_id for group in groups for item_id in group.item_ids}
        if not self._covered <= there:
            if not self._covered & there and _size(groups) <= self._most * 3 // 4:
                return Context("", groups)  # something beside the conversation
            self._summary, self._covered = "", frozenset()  # an item was deleted: what it said is not kept either
        left = [group for group in groups if not self._covered.issuperset(group.item_ids)]
        if len(self._summary) + _size(left) > self._most * 3 // 4 and self._task is None:
            newest = _newest(left, self._most * 3 // 8)
            self._due = left[: len(left) - len(newest)]
        if len(self._summary) + _size(left) > self._most:
            left = _newest(left, self._most * 3 // 4 - len(self._summary))
        return Context(self._summary, left)

    def rest(self) -> None:
        """Begin a summary that is due: while the answer is spoken, the endpoint has the time."""
        if self._due and self._task is None:
            self._task = asyncio.create_task(self._cover(self._due))
        self._due = []

    def end(self) -> None:
        """Stop what is under way in the background."""
        if self._task is not None:
            self._task.cancel()

    async def _cover(self, oldest: Sequence[Group]) -> None:
        """Replace the oldest groups by a summary; by nothing, where that fails."""
        try:
            self._summary = (await self._summarise(self._summary, transcript(oldest)))[: self._most // 8]
        except BrainFailure as failure:
            log.warning("the beginning of a conversation is left out without a summary: %s", failure.message)
        finally:
            self._task = None
        self._covered |= {item_id for group in oldest for item_id in group.item_ids}


def _newest(groups: Sequence[Group], most: int) -> list[Group]:
    """Give the newest groups of at most so many characters, from where the user has the word; the last turn always."""
    turns = [index for index, group in enumerate(groups) if group.begins_turn]
    start = turns[-1] if turns else max(0, len(groups) - 1)
    for turn in reversed(turns):
        if _size(groups[turn:]) > most:
            break
        start = turn
    return list(groups[start:])


def _size(groups: Sequence[Group]) -> int:
    return sum(group.chars for group in groups)
