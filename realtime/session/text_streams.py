"""Keeps the streams of input text: which response speaks which, and which are not wanted any more."""

from __future__ import annotations

_REMEMBERED = 256


class TextStreams:
    """Keeps text streams by their names.

    A stream is open until its `end`. If its response ends before that (interrupted, failed), the stream is cut: what
    still comes of it is dropped until its end.
    """

    def __init__(self) -> None:
        self._open: dict[str, str] = {}  # name -> response
        self._cut: dict[str, None] = {}

    def open(self, name: str, response_id: str) -> None:
        """Note that a response speaks the stream `name`."""
        self._cut.pop(name, None)
        self._open[name] = response_id

    def response(self, name: str) -> str | None:
        """Return the id of the response that speaks a stream, if one does."""
        return self._open.get(name)

    def is_cut(self, name: str) -> bool:
        """Tell whether what still comes of a stream is not wanted."""
        return name in self._cut

    def end(self, name: str) -> None:
        """Note that the client has ended a stream. Its name is free again."""
        self._open.pop(name, None)
        self._cut.pop(name, None)

    def cut(self, name: str | None, response_id: str) -> None:
        """Note that the response of a stream is over. If the stream is still open, the rest of it is dropped."""
        if name is not None and self._open.get(name) == response_id:
            del self._open[name]
            self.refuse(name)

    def refuse(self, name: str) -> None:
        """Drop what comes of a stream until its end."""
        self._cut[name] = None
        while len(self._cut) > _REMEMBERED:
            del self._cut[next(iter(self._cut))]
