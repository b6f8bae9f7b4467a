"""Train the codec's encoder: from a wave of any voice to the latents that the codebooks know.

    python -m training.voice.encoder WORK [--steps 8000]

A plain regression of the stock `DacEncoder` onto what the decoder is given. Of the pitch the length is regressed as it
is, the place by its turn. With it a reference clip selects its voice, and `encode` then `decode` says the same. Resumes
from `encoder.pt`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training import checkpointing
from training.encoder import EDGE, build
from training.speech import HOP
from training.voice.books import LATE_DIMS
from training.voice.decoder import HELD
from training.voice.oscillator import PITCH_DIMS

LATE_WEIGHT = 0.5
LENGTH_WEIGHT = 4.0
"""It is high since a sixteenth of a cycle, which is one code, is small beside the differences of content."""


def distance(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean square errors of content, of turn and voice, and of length; both inputs are [B, dims, frames]."""
    error = (found - wanted).square()
    first = error.shape[1] - LATE_DIMS - PITCH_DIMS
    return error[:, :first].mean(), error[:, first : first + LATE_DIMS].mean(), error[:, -2].mean()


def train(
    work: Path,
    steps: int,
    minutes: float = float("inf"),
    size: int = 8,
    frames: int = 25,
    rate: float = 2e-3,
    seed: int = 0,
) -> None:
    torch.manual_seed(seed)
    data = np.load(work / "decoder.npz")
    latents, waves = torch.from_numpy(data["latents"]), torch.from_numpy(data["waves"]).view(-1, HOP)
    last = int(data["starts"][max(1, len(data["starts"]) - 1 - HELD)]) - frames
    encoder = build(latents.shape[1])
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    log, state, step, spent = (
        checkpointing.LossLog(work / "encoder.log"),
        checkpointing.load(work / "encoder.pt"),
        0,
        0.0,
    )
    if state:
        encoder.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    draw = torch.Generator().manual_seed(seed + step)
    sums: list[list[float]] = []
    while step < steps and spent + log.seconds < 60 * minutes:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        index = torch.randint(0, last, (size,), generator=draw)[:, None] + torch.arange(frames)
        gain = 2.0 ** (torch.rand(size, 1, generator=draw) - 0.5)
        wave = waves[index].reshape(size, frames * HOP).float() / 32767 * gain
        found = encoder(wave[:, None])[..., EDGE:-EDGE]
        content, late, length = distance(found, latents[index].transpose(1, 2)[..., EDGE:-EDGE])
        optimiser.zero_grad()
        (content + LATE_WEIGHT * late + LENGTH_WEIGHT * length).backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        step += 1
        sums.append([content.item(), late.item(), length.item()])
        if step % 50 == 0 or step == steps:
            mean = np.mean(sums, 0)
            log.write(step=step, content=float(mean[0]), late=float(mean[1]), length=float(mean[2]))
            sums = []
        if step % 200 == 0 or step == steps:
            kept = {"model": encoder.state_dict(), "optimiser": optimiser.state_dict()}
            checkpointing.save(work / "encoder.pt", {**kept, "step": step, "spent": spent + log.seconds})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=8_000)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    o = parser.parse_args()
    torch.set_num_threads(1)
    train(o.work, o.steps, o.minutes)


if __name__ == "__main__":
    main()
