"""A client event that cannot be done, on its way to becoming one error event."""

from __future__ import annotations


class Refused(Exception):
    """`code` is stable, the message is a sentence with the fix, `param` names the field."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
