"""Finds checkpoints and describes one of any family once it was read.

The description holds its folders, what it says of itself, and how its weights become a model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from codec_stream.errors import CheckpointError
from realtime.engine.models.speech_model import Prompts, SpeechModel

MODEL_FILES = ["*.json", "*.jinja", "*.safetensors", "codec/*"]
"""The files that are fetched from the hub. Weights are safetensors only, and no code of a checkpoint is ever run."""


@dataclass(frozen=True)
class SamplingDefaults:
    """Says how a checkpoint wants to be sampled. `top_k` 0 and `top_p` 1 switch a filter off.

    An id that is among its codebook's last `ras_window` ids `ras_max_repeats` times or more is drawn anew; 0 for either
    switches that off.
    """

    greedy: bool
    temperature: float
    top_k: int
    top_p: float
    ras_window: int
    ras_max_repeats: int


@dataclass(frozen=True)
class Manifest:
    """Holds what a checkpoint made for voiced says of itself, in `voiced.json`. Foreign checkpoints have no such file.

    `front_end` names what turns written English into what the checkpoint reads. `voices` are the voices it knows
    itself. `context_clauses` is how many clauses of a context come before the next one at most.
    """

    name: str
    kind: str = "speech"
    front_end: str = "none"
    default_voice: str = ""
    voices: list[dict[str, str]] = field(default_factory=list)
    max_clause_chars: int = 240
    max_scene_chars: int = 4000
    context_clauses: int = 8


@dataclass(frozen=True)
class OpenedCheckpoint:
    """Holds a checkpoint, all but its weights.

    `markers` are the control markers that no text may hold, the longest first. `load(device, dtype)` reads the weights.
    `prompts(front_end)` gives what words the prompts; its front end turns text to speak into what the checkpoint reads.
    Both raise CheckpointError.
    """

    folder: Path
    codec_folder: Path
    sampling: SamplingDefaults
    manifest: Manifest
    markers: list[str]
    load: Callable[[torch.device, torch.dtype], SpeechModel]
    prompts: Callable[[Callable[[str], str]], Prompts]


def locate(name: str, files: list[str], said_by: str) -> Path:
    """Find the folder `name`, or fetch the `files` of the hub id `name`, and return where they are.

    Raises CheckpointError whose message begins with `said_by`.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise CheckpointError(f"{said_by} {name!r}: no such folder, and not a hub id of the form owner/name.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=files))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(f"{said_by} {name!r} could not be fetched from the hub: {error}") from error


def read_manifest(folder: Path) -> Manifest:
    """Read `voiced.json`; a checkpoint without one is named by its folder. Raises CheckpointError."""
    raw = read_json(folder / "voiced.json", required=False)
    known = Manifest.__dataclass_fields__
    return Manifest(**{"name": folder.name, **{key: value for key, value in raw.items() if key in known}})


def read_json(file: Path, *, required: bool = True) -> dict[str, Any]:
    """Read a JSON object. A missing file that is not `required` gives an empty one. Raises CheckpointError."""
    if not file.is_file():
        if required:
            raise CheckpointError(f"{file} is missing.")
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} should hold one JSON object.")
    return value
