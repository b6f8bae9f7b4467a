"""Streams of input text: which response speaks which stream, and which streams nobody wants to hear any more."""

from __future__ import annotations

_REMEMBERED = 256


class TextStreams:
    """Names of text streams. A stream is open until its `end`; if its response ends before that (interrupted, failed),
    it is cut: what still comes of it is dropped until its end."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}  # name -> response
        self._cut: dict[str, None] = {}

    def open(self, name: str, response_id: str) -> None:
        self._cut.pop(name, None)
        self._open[name] = response_id

    def response(self, name: str) -> str | None:
        """The response that speaks this stream."""
        return self._open.get(name)

    def is_cut(self, name: str) -> bool:
        """More of this stream is not wanted."""
        return name in self._cut

    def end(self, name: str) -> None:
        """The client has ended the stream; its name is free again."""
        self._open.pop(name, None)
        self._cut.pop(name, None)

    def cut(self, name: str | None, response_id: str) -> None:
        """The response is over; if the stream is not, the rest of it is dropped."""
        if name is not None and self._open.get(name) == response_id:
            del self._open[name]
            self.refuse(name)

    def refuse(self, name: str) -> None:
        """Drop what comes of this stream until its end."""
        self._cut[name] = None
        while len(self._cut) > _REMEMBERED:
            del self._cut[next(iter(self._cut))]
