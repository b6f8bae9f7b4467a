"""Keeps state that survives an interruption in one file, written whole or not at all, and logs losses.

A log has one JSON object a line.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, object]) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load(path: Path) -> dict[str, Any] | None:
    """Read the state that `save` wrote to `path`. None where nothing was written yet."""
    return read(path) if path.exists() else None


def read(path: Path) -> dict[str, Any]:
    """Read the state that `save` wrote to `path`. Raises FileNotFoundError where nothing was written."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


LONGEST_STEP_S = 10.0


class LossLog:
    """Appends losses to `path` and prints them.

    `seconds` is the time spent training, to be read every step. Of a longer pause between two readings (a stopped
    process, a closed laptop) only `LONGEST_STEP_S` counts.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._last, self._spent = path, time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        now = time.monotonic()
        self._spent += min(LONGEST_STEP_S, now - self._last)
        self._last = now
        return self._spent

    def write(self, **values: float) -> None:
        entry = {"seconds": round(self.seconds, 1), **{name: round(value, 5) for name, value in values.items()}}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        print(" ".join(f"{name} {value}" for name, value in entry.items()), flush=True)
