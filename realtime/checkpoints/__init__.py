"""Finds the built-in checkpoint: the trained one that ships, or noise made on first use.

The noise checkpoint has the full format and random weights: it exercises every path and says nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

POCKET = Path(__file__).parent / "pocket"


def cache_folder() -> Path:
    """Return the folder that keeps checkpoints made here: $VOICED_CACHE, else the user's cache folder."""
    root = os.environ.get("VOICED_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(root) / "voiced" if root else Path.home() / ".cache" / "voiced"


def built_in() -> Path:
    """Return the folder of the checkpoint that runs when none is named, making it if none ships."""
    if (POCKET / "model.safetensors").is_file():
        return POCKET
    from realtime.checkpoints.noise import make_noise_checkpoint

    folder = cache_folder() / "noise-v1"
    if not (folder / "voiced.json").is_file():
        make_noise_checkpoint(folder)
    return folder


def voices_folder(voices: str, model: str) -> Path | None:
    """Return the folder of voices that is asked for, or else the one that ships with the trained checkpoint.

    The latter only if that checkpoint runs: where no other `model` is named. None says that there is no folder.
    """
    if voices:
        return Path(voices).expanduser()
    shipped = POCKET / "voices"
    return shipped if not model and (POCKET / "model.safetensors").is_file() and shipped.is_dir() else None
