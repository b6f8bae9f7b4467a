"""Defines the one way to refuse a request, in words that every wire can say in its own form."""

from __future__ import annotations


class Refused(Exception):
    """Says that something a client asked for cannot be done.

    `code` is stable and listed in PROTOCOL.md. `message` is a sentence that names the fix. `param` names the field of
    the client's message that is at fault, if one is. `retry_after_s` is how many seconds the client should wait before
    it tries again; None means that trying again unchanged will not help.
    """

    def __init__(self, code: str, message: str, param: str | None = None, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
