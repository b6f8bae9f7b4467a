"""Turns msgspec's words about a message with a wrong field into one error that names the field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import msgspec

from protocol.objects import ErrorBody

SHOWN = 200
"""Bounds how many characters of a client's own names an error repeats."""


def bad_syntax(error: Exception, event_id: str | None = None) -> ErrorBody:
    """Return the error for bytes that are no JSON at all."""
    detail = str(error).removeprefix("JSON is malformed: ")[:SHOWN]
    return refused("invalid_json", f"The message is not valid JSON: {detail}.", None, event_id)


def explained(error: msgspec.ValidationError, hints: Mapping[str, str], event_id: str | None = None) -> ErrorBody:
    """Return the error for a message with a wrong field.

    `hints` say for each field, a dotted path, what would be right. For a field without one, the hint of the field
    around it is given.
    """
    message, _, path = str(error).partition(" - at ")
    where = path.strip("`").removeprefix("$").removeprefix(".")[:SHOWN]
    named = re.search(r"^Object (contains unknown|missing required) field `(.*)`", message, re.DOTALL)
    if named is not None:
        field = f"{where}.{named[2][:SHOWN]}".removeprefix(".")
        if named[1] == "missing required":
            fault = f"The field {field!r} is missing. {_hint(field, hints) or 'Add it.'}"
            return refused("missing_required_parameter", fault, field, event_id)
        close = difflib.get_close_matches(field, hints, 1)
        known = f"The fields are {', '.join(name for name in hints if '.' not in name)}."
        hint = f"Did you mean {close[0]!r}?" if close else _hint(field, hints) or known
        return refused("unknown_parameter", f"There is no field {field!r}. {hint}", field, event_id)
    if not where:
        return refused("invalid_value", "A message must be one JSON object.", None, event_id)
    fault = f"The field {where!r} is not valid: {message[:SHOWN]}. {_hint(where, hints)}"
    return refused("invalid_value", fault.rstrip(), where, event_id)


def refused(code: str, message: str, param: str | None, event_id: str | None = None) -> ErrorBody:
    """Return an error that is the client's to fix."""
    return ErrorBody("invalid_request_error", code, message, param, event_id)


def _hint(field: str, hints: Mapping[str, str]) -> str:
    """Return the hint for a field, or for the nearest field around it; empty without one."""
    while field and not hints.get(field):
        field = field.rpartition(".")[0]
    return hints.get(field, "")
