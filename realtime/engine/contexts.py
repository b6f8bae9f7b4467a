"""Remembers what each context has spoken: the next clause's prompt goes on from there. Bounded on every side."""

from __future__ import annotations

from collections import OrderedDict

from realtime.engine.models.speech_model import Spoken


class Contexts:
    """Keeps utterances by context, newest last. If there are too many contexts, the least recently used one goes
    first.
    """

    def __init__(self, *, max_contexts: int, max_utterances: int, max_rows: int) -> None:
        self._max_contexts = max_contexts
        self._max_utterances = max_utterances
        self._max_rows = max_rows
        self._spoken: OrderedDict[str, list[Spoken]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spoken)

    def past(self, context_id: str) -> list[Spoken]:
        """Return what a context spoke, oldest first; nothing for the empty id."""
        return list(self._spoken.get(context_id, ()))

    def add(self, context_id: str, utterance: Spoken) -> None:
        """Remember an utterance.

        When the past grows too long its older half goes at once. Dropping utterances one by one would change the start
        of every prompt, and each such change loses all shared pages.
        """
        spoken = self._spoken.setdefault(context_id, [])
        spoken.append(utterance)
        self._spoken.move_to_end(context_id)
        if len(spoken) > self._max_utterances or sum(len(each.rows) for each in spoken) > self._max_rows:
            del spoken[: (len(spoken) + 1) // 2]
        while len(self._spoken) > self._max_contexts:
            self._spoken.popitem(last=False)

    def shorten(self, context_id: str) -> list[Spoken]:
        """Drop the older half of what a context spoke and return what is left."""
        spoken = self._spoken.get(context_id, [])
        del spoken[: (len(spoken) + 1) // 2]
        return list(spoken)

    def drop(self, context_id: str) -> None:
        """Forget a context."""
        self._spoken.pop(context_id, None)
