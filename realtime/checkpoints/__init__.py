"""Where the built-in checkpoint is: the trained one that ships, or noise made on first use.

The noise checkpoint has the full format and random weights: it exercises every path and says nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

POCKET = Path(__file__).parent / "pocket"


def cache_folder() -> Path:
    """Where made checkpoints are kept: $VOICED_CACHE, else the user's cache folder."""
    root = os.environ.get("VOICED_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(root) / "voiced" if root else Path.home() / ".cache" / "voiced"


def built_in() -> Path:
    """The checkpoint that runs when none is named."""
    if (POCKET / "model.safetensors").is_file():
        return POCKET
    from realtime.checkpoints.noise import make_noise_checkpoint

    folder = cache_folder() / "noise-v1"
    if not (folder / "voiced.json").is_file():
        make_noise_checkpoint(folder)
    return folder


def shipped_voices() -> Path | None:
    """The folder of voices that ships with the trained checkpoint, if there is one."""
    folder = POCKET / "voices"
    return folder if (POCKET / "model.safetensors").is_file() and folder.is_dir() else None
