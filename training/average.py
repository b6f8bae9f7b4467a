"""Average a trained language model with the checkpoint that its training went on from.

    python -m training.average WORK CHECKPOINT --share 0.3

Weights that were trained on from the same start lie close together, and their mean is better than either of them: it
gives most of what the last, slow part of a training run would. WORK/language.pt gets the mean; training does not go on
from it."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from transformers import HiggsAudioV2ForConditionalGeneration

from training import checkpointing


def mean(ours: dict[str, Tensor], other: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Mix `share` of `other` into every tensor. Raises ValueError where the two are not of one architecture."""
    if ours.keys() != other.keys() or any(ours[name].shape != other[name].shape for name in ours):
        raise ValueError("the two models differ in their tensors: only one that was trained on can be averaged")
    return {name: torch.lerp(tensor.float(), other[name].float(), share) for name, tensor in ours.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("checkpoint")
    parser.add_argument("--share", type=float, default=0.3, help="of the checkpoint")
    o = parser.parse_args()
    state = checkpointing.load(o.work / "language.pt")
    if state is None:
        raise FileNotFoundError(f"{o.work / 'language.pt'} is missing: run `python -m training.language` first")
    other = HiggsAudioV2ForConditionalGeneration.from_pretrained(o.checkpoint, dtype=torch.float32).state_dict()
    checkpointing.save(o.work / "language.pt", {"model": mean(state["model"], other, o.share)})


if __name__ == "__main__":
    main()
