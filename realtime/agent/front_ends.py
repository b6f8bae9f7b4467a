"""Text front ends by name: what happens to text between the brain and the checkpoint's chat template."""

from __future__ import annotations

from collections.abc import Callable


def front_end(kind: str) -> Callable[[str], str]:
    """The front end a checkpoint's manifest names. `none` passes text on as it is."""
    if kind == "none":
        return str
    from realtime.agent import text

    chosen: Callable[[str], str] = text.front_end(kind)
    return chosen
