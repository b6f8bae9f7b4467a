"""Opens checkpoints of the models that can be run: finds their family by their `model_type`.

A family is a function `opened(folder, codec) -> OpenedCheckpoint`. Beside the built-in ones, installed packages bring
families by entry points of the group `voiced.models`, which are named by the `model_type`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from realtime.engine.models.checkpoint import MODEL_FILES, OpenedCheckpoint, locate, read_json

Family = Callable[[Path, str | None], OpenedCheckpoint]

_FAMILIES = {"higgs_audio_v2": "realtime.engine.models.higgs_v2.family:opened"}
_RELEASED = "higgs_audio_v2"
"""The `model_type` whose family also reads checkpoints of no known family: it raises an error that says what they are
and what to use instead."""


def open_checkpoint(model: str, codec: str | None = None) -> OpenedCheckpoint:
    """Locate and read a checkpoint given as a folder or a hub id. `codec` overrides where its codec is.

    Raises CheckpointError that names the file and the fix.
    """
    folder = locate(model, MODEL_FILES, "--model")
    model_type = read_json(folder / "config.json", required=False).get("model_type")
    return _family(str(model_type))(folder, codec)


def _family(model_type: str) -> Family:
    for entry in entry_points(group="voiced.models", name=model_type):
        family: Family = entry.load()
        return family
    module, _, attribute = _FAMILIES.get(model_type, _FAMILIES[_RELEASED]).partition(":")
    built_in: Family = getattr(import_module(module), attribute)
    return built_in
