"""Scope: from valid inputs to nearly valid ones, by choices that hypothesis makes (all zero: nothing is changed)."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, TypeVar

import msgpack

_T = TypeVar("_T")

STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    -(2**63),
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
    "",
    "x",
    "x" * 300,
    "\x00",
    "\ud800",
    "é你😀\u202e",
    "../../etc",
    "$.`a` - at `b`",
    [],
    [[]],
    {},
    {"type": "message"},
    {"": {}},
]


class Choices:
    """Small numbers out of bytes, first to last; zeros once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""
        width = 1 if count <= 256 else 4
        number = int.from_bytes(self._data[self._at : self._at + width], "big")
        self._at += width
        return number % count

    def pick(self, values: Sequence[_T]) -> _T:
        return values[self.below(len(values))]

    def bytes(self, most: int) -> bytes:
        """Up to so many bytes."""
        size = self.below(most + 1)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def text(self, most: int) -> str:
        """Up to so many characters, half of them ASCII, some that are no Unicode."""
        numbers = [self.below(2**16) for _ in range(self.below(most + 1))]
        return "".join(chr(number % 128 if number & 1 else number) for number in numbers)


def mutated(value: Any, choices: Choices) -> Any:
    """A message with up to three of its parts replaced, removed, doubled, renamed or moved."""
    for _ in range(choices.below(4)):
        value = _changed(value, choices)
    return value


def _changed(value: Any, choices: Choices) -> Any:
    """One change, somewhere in the message."""
    if isinstance(value, dict) and value and choices.below(8):
        key = choices.pick(list(value))
        how = choices.below(8)
        if how < 4:
            return {**value, key: _changed(value[key], choices)}
        rest = {name: inner for name, inner in value.items() if name != key}
        if how == 4:
            return rest
        if how == 5:
            return {**rest, choices.pick(["", "type", "x", key + "s", key.upper(), "x" * 300]): value[key]}
        if how == 6:
            return {**value, choices.pick(["extra", "event_id", "type", "voiced", "\ud800"]): choices.pick(STRANGE)}
        return {**value, key: choices.pick(list(value.values()))}
    if isinstance(value, list) and value and choices.below(4):
        at = choices.below(len(value))
        how = choices.below(4)
        if how == 0:
            return value[:at] + value[at + 1 :]
        if how == 1:
            return value * 20
        return [*value[:at], _changed(value[at], choices), *value[at + 1 :]]
    if isinstance(value, (str, bytes)) and choices.below(2):
        at = choices.below(len(value) + 1)
        if isinstance(value, bytes):
            return value[:at] + choices.bytes(8) + value[at + choices.below(3) :]
        return value[:at] + choices.text(4) + value[at + choices.below(3) :]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and choices.below(2):
        return choices.pick([value + 1, value - 1, -value, value * 1000, value / 7, str(value)])
    return choices.pick(STRANGE)


def damaged(data: bytes, choices: Choices) -> bytes:
    """Bytes with up to three places overwritten, left out, filled in or cut off; one in four is changed at all."""
    if choices.below(4) != 3:
        return data
    for _ in range(1 + choices.below(3)):
        at = choices.below(len(data) + 1)
        how = choices.below(4)
        if how == 0:
            data = data[:at]
        elif how == 1:
            data = data[:at] + data[at + 1 + choices.below(4) :]
        elif how == 2:
            data = data[:at] + choices.bytes(8) + data[at:]
        else:
            new = choices.bytes(4)
            data = data[:at] + new + data[at + len(new) :]
    return data


def as_json(value: Any) -> bytes:
    """JSON text, bytes as base64; NaN and lone surrogates as Python writes them, which is not valid JSON."""
    return json.dumps(_text_only(value), ensure_ascii=False).encode("utf-8", "surrogatepass")


def as_msgpack(value: Any) -> bytes:
    """msgpack, also of text that is no Unicode."""
    packed: bytes = msgpack.packb(_packable(value), unicode_errors="surrogatepass")
    return packed


def _text_only(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _text_only(inner) for key, inner in value.items()}
    return [_text_only(inner) for inner in value] if isinstance(value, list) else value


def _packable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _packable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_packable(inner) for inner in value]
    return float(value) if isinstance(value, int) and not -(2**63) <= value < 2**64 else value
