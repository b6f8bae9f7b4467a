"""Makes ids: random ones, whose prefix says what they name."""

from __future__ import annotations

import secrets


def new_id(prefix: str) -> str:
    """Make an id that nobody can guess: `prefix` and 24 hexadecimal digits."""
    return prefix + secrets.token_hex(12)
