"""The chunks of a streamed chat completion: text as it comes, and calls gathered by their index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from realtime.agent.brain import FunctionCall
from realtime.agent.chat.failures import cut_off, empty, too_long, turned_down, unreadable

MOST_CHARS = 10_000
"""Characters of an answer, at most: words and arguments of calls."""
_MOST_CALLS = 32


@dataclass
class _Call:
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class Answer:
    """Puts one answer together from the data of its events, given in order. Unknown fields are passed over.

    `chars` counts what has come of words and calls, `over` says that nothing more will.
    """

    def __init__(self) -> None:
        self.chars = 0
        self.over = False
        self._words = False
        self._finished = False
        self._calls: dict[int, _Call] = {}

    def take(self, data: str) -> str:
        """Give the text of an event. Raises BrainFailure where it is none, or tells of an error."""
        if data.strip() == "[DONE]":
            self._finished = self.over = True
            return ""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise unreadable("what is no JSON") from None
        if not isinstance(chunk, dict):
            raise unreadable("JSON that is no chat completion")
        if chunk.get("error"):
            raise turned_down(_status(chunk["error"]))
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return ""  # usage, for one
        choice = choices[0]
        said = choice.get("delta") or choice.get("message")
        text = self._take_in(said) if isinstance(said, dict) else ""
        if choice.get("finish_reason"):
            self._finished = True
        return text

    def calls(self) -> list[FunctionCall]:
        """Give the calls, after the last event. Raises BrainFailure where the answer is not whole or is none."""
        if not self._finished:
            raise cut_off()
        if not self._calls and not self._words:
            raise empty()
        return [_whole(self._calls[index]) for index in sorted(self._calls)]

    def _take_in(self, said: dict[str, Any]) -> str:
        text = _text(said.get("content"))
        calls = said.get("tool_calls")
        for position, piece in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(piece, dict):
                self._take_in_call(piece, position)
        self._words = self._words or bool(text.strip())
        self.chars += len(text)
        if self.chars > MOST_CHARS:
            raise too_long()
        return text

    def _take_in_call(self, piece: dict[str, Any], position: int) -> None:
        given = piece.get("index")
        index = given if isinstance(given, int) else self._unnumbered(piece, position)
        if index not in self._calls and len(self._calls) == _MOST_CALLS:
            raise too_long()
        call, function = self._calls.setdefault(index, _Call()), piece.get("function")
        if isinstance(piece.get("id"), str):
            call.call_id = call.call_id or piece["id"]
        if isinstance(function, dict):
            if isinstance(function.get("name"), str) and not call.name:
                call.name = function["name"]
                self.chars += len(call.name)
            arguments = function.get("arguments")
            more = json.dumps(arguments) if isinstance(arguments, dict) else arguments
            if isinstance(more, str):
                call.arguments += more
                self.chars += len(more)

    def _unnumbered(self, piece: dict[str, Any], position: int) -> int:
        """Number a call that has no index: an id or a name begins one, else the last goes on."""
        function = piece.get("function")
        begins = piece.get("id") or (isinstance(function, dict) and function.get("name"))
        last = max(self._calls, default=-1)
        return last + 1 if begins or last < 0 else last


def _whole(call: _Call) -> FunctionCall:
    arguments = call.arguments.strip() or "{}"
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        given = None
    if not call.name or not isinstance(given, dict):
        raise unreadable("a function call that cannot be read")
    return FunctionCall(call.name, arguments, call.call_id)


def _text(content: Any) -> str:
    """Read the text of a message: a string, or parts of which some are text."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(text for text in parts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _status(error: Any) -> int:
    """Find the status of an error that came within the stream."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
