"""Server-sent events, read by hand: bytes in any pieces, the data of each event out."""

from __future__ import annotations

import re

from realtime.agent.chat.failures import too_long

MOST_BYTES = 4 << 20
"""Bytes of one answer on the wire, at most."""
_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")


class EventReader:
    """Reads a stream of events. Give it bytes with `push`, and call `end` when there are no more.

    Fields other than `data` are passed over, but for the `error` that llama.cpp's server has sent as a field.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._read = 0

    def push(self, received: bytes) -> list[str]:
        """Give the data of the events that are complete now. Raises BrainFailure beyond `MOST_BYTES`."""
        self._read += len(received)
        if self._read > MOST_BYTES:
            raise too_long()
        *lines, self._rest = _LINE_END.split(self._rest + received)
        return [data for line in lines if (data := self._line(line)) is not None]

    def end(self) -> list[str]:
        """Give the event that the stream ended in, if there is one."""
        lines = [*self._rest.rstrip(b"\r").split(b"\r"), b""]
        self._rest = b""
        return [data for line in lines if (data := self._line(line)) is not None]

    def _line(self, line: bytes) -> str | None:
        if line:
            name, _, value = line.decode(errors="replace").partition(":")
            if name in ("data", "error"):
                self._data.append(value.removeprefix(" "))
            return None
        data, self._data = "\n".join(self._data), []
        return data or None
