"""Higgs Audio V2 as the engine asks for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from realtime.engine.models.checkpoint import OpenedCheckpoint
from realtime.engine.models.higgs_v2.backbone import Backbone
from realtime.engine.models.higgs_v2.checkpoint import Checkpoint, read_checkpoint
from realtime.engine.models.higgs_v2.prompter import Prompter, markers_of
from realtime.engine.models.speech_model import SpeechModel


def opened(folder: Path, codec: str | None = None) -> OpenedCheckpoint:
    """Read the checkpoint in a folder; `codec` overrides where its codec is. Raises CheckpointError."""
    checkpoint = read_checkpoint(folder, codec)
    return OpenedCheckpoint(
        folder=checkpoint.folder,
        codec_folder=checkpoint.codec_folder,
        sampling=checkpoint.sampling,
        manifest=checkpoint.manifest,
        markers=markers_of(checkpoint),
        load=partial(_load, checkpoint),
        prompts=partial(Prompter, checkpoint),
    )


def _load(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> SpeechModel:
    return Backbone(checkpoint.config, checkpoint.weights(), device, dtype)
