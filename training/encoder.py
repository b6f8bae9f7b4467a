"""Train the codec's encoder: from the wave of any voice to the latents that the quantizer knows.

    python -m training.encoder WORK --steps 1500 [--from FOLDER]

The voices speak the same phones in the same frames, so what a wave of any of them should give is known: the content
of the reference voice's frame, and the voice's own entry of the last codebook. A plain regression of the stock
`DacEncoder`. With it a reference clip selects its voice, and `encode` then `decode` reproduces speech. Starts from the
codec folder that `--from` names, else from random weights. Resumes from WORK/encoder.pt; stops after --steps or
--minutes, whichever comes first."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.models.dac.configuration_dac import DacConfig
from transformers.models.dac.modeling_dac import DacEncoder

from training import checkpointing
from training import quantizer as rvq
from training.codec import RATIOS, Data, load
from training.codec_folder import ENCODER_HIDDEN, read_encoder
from training.speech import HOP

EDGE = 2  # frames at each end of a window that lack their surroundings and carry no loss
VOICE_WEIGHT = 0.5


def build(dims: int) -> DacEncoder:
    return DacEncoder(DacConfig(encoder_hidden_size=ENCODER_HIDDEN, downsampling_ratios=RATIOS, hidden_size=dims))


def batch(data: Data, size: int, frames: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw waves [B, 1, frames x HOP] and latents [B, dims, frames], of all voices alike, each at a random level."""
    at = torch.randint(0, len(data.latents) - frames, (size,), generator=draw)
    who = torch.randint(0, len(data.voices), (size,), generator=draw)
    index = at[:, None] + torch.arange(frames)
    gain = 2.0 ** (torch.rand(size, 1, generator=draw) - 0.5)
    waves = data.waves[who[:, None], index].reshape(size, frames * HOP).float() / 32767 * gain
    return waves[:, None], (data.latents[index] + data.voices[who][:, None]).transpose(1, 2)


def agreement(ours: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean square errors of content and of voice; `ours` and `wanted` are [B, dims, frames]."""
    error = (ours - wanted).square()
    return error[:, : -rvq.VOICE_DIMS].mean(), error[:, -rvq.VOICE_DIMS :].mean()


def train(
    work: Path,
    steps: int,
    minutes: float,
    size: int,
    frames: int,
    rate: float,
    seed: int,
    source: Path | None = None,
) -> None:
    torch.manual_seed(seed)
    data = load(work)
    encoder = read_encoder(source) if source else build(data.latents.shape[1])
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    log, state = checkpointing.LossLog(work / "encoder.log"), checkpointing.load(work / "encoder.pt")
    step, spent = 0, 0.0
    if state:
        encoder.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    draw = torch.Generator().manual_seed(seed + step)
    errors: list[tuple[float, float]] = []
    while step < steps and spent + log.seconds < 60 * minutes:
        done = max(step / steps, (spent + log.seconds) / (60 * minutes))
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
        waves, wanted = batch(data, size, frames, draw)
        content, voice = agreement(encoder(waves)[..., EDGE:-EDGE], wanted[..., EDGE:-EDGE])
        optimiser.zero_grad()
        (content + VOICE_WEIGHT * voice).backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        step += 1
        errors.append((content.item(), voice.item()))
        if step % 50 == 0 or step == steps:
            means = [sum(column) / len(errors) for column in zip(*errors, strict=True)]
            log.write(step=step, content=means[0], voice=means[1])
            errors = []
        if step % 200 == 0:
            _save(work, encoder, optimiser, step, spent + log.seconds)
    _save(work, encoder, optimiser, step, spent + log.seconds)


def _save(work: Path, encoder: DacEncoder, optimiser: torch.optim.Optimizer, step: int, spent: float) -> None:
    state = {"model": encoder.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}
    checkpointing.save(work / "encoder.pt", state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--from", dest="source", type=Path, help="codec folder whose encoder is trained on")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    torch.set_num_threads(1)
    train(o.work, o.steps, o.minutes, o.batch, o.frames, o.rate, o.seed, o.source)


if __name__ == "__main__":
    main()
