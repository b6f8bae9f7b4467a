"""Scope: what is recorded of events and answers, so that two runs of the same server give the same: ids by the order in
which they first appear, no times, the pieces of a stream as one. And whether two records are the same."""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]

_ID = re.compile(r"\b(?:([a-z]+)_[0-9a-f]{24}|(ek)_[A-Za-z0-9_-]{20,})\b")
_CHANCE = {"expires_at", "created", "created_at", "start_time", "end_time", "step_time", "cached_tokens"}
"""Fields whose values depend on when, or on what the engine remembers."""

_CLOSE_DB = 2
"""Levels of speech may differ by so much: the samples are those of the same ids, but not bit by bit."""


class Names:
    """Ids as they are recorded: `item_3` is the third item that was named."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def shown(self, value: Any) -> Any:
        """A value with the ids in it renamed and without what is left to chance."""
        if isinstance(value, str):
            return _ID.sub(self._named, value)
        if isinstance(value, list):
            return [self.shown(one) for one in value]
        if isinstance(value, dict):
            return {
                self.shown(key): "(a number)" if key in _CHANCE and one is not None else self.shown(one)
                for key, one in value.items()
            }
        return value

    def _named(self, found: re.Match[str]) -> str:
        kind, text = found[1] or found[2], found[0]
        if text not in self._seen:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._seen[text] = f"{kind}_{self._counts[kind]}"
        return self._seen[text]


def joined(events: list[Json], stream: tuple[str, ...], pieces: dict[str, str]) -> list[Json]:
    """The events with pieces that follow each other in the same stream put together, where the first of them was: in
    how many a stream comes, and what comes between them, depends on the pace. The fields `stream` name the stream of an
    event, `pieces` by type the field that is cut into pieces; in the result it holds the list of them."""
    result: list[Json] = []
    open_runs: dict[tuple[Any, ...], dict[str, Json]] = {}
    for event in events:
        of = tuple(event.get(name) for name in stream)
        field = pieces.get(event["type"])
        if field is None:
            if any(of):
                open_runs.pop(of, None)  # what comes after it is another run
            result.append(event)
            continue
        runs = open_runs.setdefault(of, {})
        if event["type"] in runs:
            runs[event["type"]][field].append(event[field])
        else:
            runs[event["type"]] = {**event, field: [event[field]]}
            result.append(runs[event["type"]])
    return result


def changes(before: Json, after: Json) -> Json:
    """What of an object is new or different, by dotted path."""
    found: Json = {key: "(gone)" for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            found |= {f"{key}.{inner}": one for inner, one in changes(old, value).items()}
        elif key not in before or old != value:
            found[key] = value
    return found


def differences(recorded: Any, now: Any, where: str = "") -> list[str]:
    """Where two records differ, a line for each place; none: they are the same."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        found = [f"{where}: {key!r} is gone" for key in recorded if key not in now]
        found += [f"{where}: {key!r} is new" for key in now if key not in recorded]
        return found + [
            line
            for key in recorded
            if key in now
            for line in (_levels if key == "decibels" else differences)(recorded[key], now[key], f"{where}.{key}")
        ]
    if isinstance(recorded, list) and isinstance(now, list):
        found = [line for at, pair in enumerate(zip(recorded, now, strict=False)) for line in _at(where, at, *pair)]
        if len(recorded) != len(now):
            rest = (recorded if len(recorded) > len(now) else now)[min(len(recorded), len(now))]
            found.append(
                f"{where}: {len(now)} entries and not {len(recorded)}; the first without a partner is {rest!r}"
            )
        return found
    return [] if recorded == now else [f"{where}: {now!r} and not {recorded!r}"]


def _at(where: str, at: int, recorded: Any, now: Any) -> list[str]:
    return differences(recorded, now, f"{where}[{at}]")


def _levels(recorded: list[int], now: list[int], where: str) -> list[str]:
    if len(recorded) == len(now) and all(abs(one - two) <= _CLOSE_DB for one, two in zip(recorded, now, strict=True)):
        return []
    return [f"{where}: {now!r} and not {recorded!r}"]
