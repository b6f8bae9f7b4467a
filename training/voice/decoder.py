"""Train the codec's decoder: from content, voice, length and place to the vocoder's wave.

    python -m training.voice.decoder WORK [--hours 1] [--steps 16000] [--minutes 60]

The oscillator is wired in and stays; the rest is trained with the spectral distance of `training.codec`, after `PLAIN`
steps with its wave distance beside it. Resumes from `decoder.pt`."""

from __future__ import annotations

import argparse
import math
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import checkpointing
from training.causal import LOOKAHEAD, CausalDecoder
from training.codec import HIDDEN, RATIOS, START_WEIGHT, STARTS_EVERY, WARM_FRAMES, spectral_distance
from training.compiling import compiled
from training.speech import FRAME_S, HOP
from training.voice import books, oscillator, phase, pitch
from training.voice.corpus import read
from training.voice.oscillator import PITCH_DIMS
from training.voice.quantizer import Quantizer
from training.voice.speakers import SPEAKERS, VOICES, voices_of
from training.voice.utterance import Utterance

PLAIN = 1_500
"""After this many steps the waves lie near enough to each other for a plain distance to help."""
WAVE_WEIGHT = 6.0
HELD = 20  # utterances that only the evaluation hears


def latents(fitted: Quantizer, utterance: Utterance, voice: int) -> np.ndarray:
    """Return what the decoder is given when a voice speaks, [frames, all dims] float32."""
    pairs = phase.codes(utterance.knots(VOICES[voice].ratio))
    return books.served(fitted).decode(books.ids(fitted.encode(utterance.rows), pairs, voice)).astype(np.float32)


def build(work: Path, hours: float) -> None:
    """Write `decoder.npz`: latents and waves of the first `hours`, and where utterances start.

    The voices of a speaker take turns.
    """
    if (work / "decoder.npz").exists():
        return
    fitted = Quantizer.load(work / "quantizer.npz")
    given, waves, frames = [], [], 0
    turns = [cycle(voices_of(speaker)) for speaker in range(len(SPEAKERS))]
    for speaker, _, utterance in read(work):
        voice = next(turns[speaker])
        given.append(latents(fitted, utterance, voice))
        wave = utterance.wave(VOICES[voice].ratio, VOICES[voice].warp)
        waves.append((np.clip(wave, -1, 1) * 32767).astype(np.int16))
        frames += utterance.frames
        if frames * FRAME_S > 3600 * hours:
            break
    starts = np.cumsum([0, *map(len, given)])
    np.savez(work / "decoder.npz", latents=np.concatenate(given), waves=np.concatenate(waves), starts=starts)


def train(
    work: Path,
    steps: int,
    minutes: float = float("inf"),
    size: int = 4,
    frames: int = 40,
    rate: float = 2e-3,
    hidden: int = HIDDEN,
    eager: bool = False,
    seed: int = 0,
) -> None:
    torch.manual_seed(seed)
    data = np.load(work / "decoder.npz")
    given, waves = torch.from_numpy(data["latents"]), torch.from_numpy(data["waves"]).view(-1, HOP)
    last = int(data["starts"][max(1, len(data["starts"]) - 1 - HELD)]) - frames
    if last < 1:
        raise ValueError(f"{work / 'decoder.npz'} holds too little speech for windows of {frames} frames")
    starts = torch.from_numpy(data["starts"][data["starts"] < last])
    decoder = CausalDecoder(given.shape[1], hidden, RATIOS)
    frozen = oscillator.wire(decoder)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=rate, betas=(0.8, 0.95), weight_decay=0.0)
    state, step, spent = checkpointing.load(work / "decoder.pt"), 0, 0.0
    if state:
        decoder.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    stepped, log = compiled(decoder, eager), checkpointing.LossLog(work / "decoder.log")
    draw = torch.Generator().manual_seed(seed + step)
    sums: list[tuple[float, float]] = []
    while step < steps and spent + log.seconds < 60 * minutes:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        at_starts = step % STARTS_EVERY == 0
        at = torch.randint(0, last, (size,), generator=draw)
        if at_starts:
            at = starts[torch.randint(0, len(starts), (size,), generator=draw)]
        index = at[:, None] + torch.arange(frames)
        target = waves[index].reshape(size, -1).float() / 32767
        ours = stepped(given[index].transpose(1, 2))[:, 0]
        keep = slice(0 if at_starts else WARM_FRAMES * HOP, -HOP)
        spectral = spectral_distance(ours[:, keep], target[:, keep])
        plain = (ours[:, keep] - target[:, keep]).abs().mean()
        loss = spectral + (WAVE_WEIGHT * plain if step >= PLAIN else 0.0)
        if at_starts:
            loss = loss + START_WEIGHT * (ours[:, : HOP // 4] - target[:, : HOP // 4]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        oscillator.hold(frozen)
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        blind(decoder)
        step += 1
        sums.append((spectral.item(), plain.item()))
        if step % 50 == 0 or step == steps:
            mean = np.mean(sums, 0)
            log.write(step=step, spectral=float(mean[0]), wave=float(mean[1]))
            sums = []
        if step % 200 == 0:
            _save(work, decoder, optimiser, step, spent + log.seconds)
    _save(work, decoder, optimiser, step, spent + log.seconds)


@torch.no_grad()
def blind(decoder: CausalDecoder) -> None:
    """Make the tap that looks ahead blind to the last codebook, since that comes too late for the frame ahead."""
    decoder.conv1.conv.weight[:, -books.LATE_DIMS - PITCH_DIMS : -PITCH_DIMS, -LOOKAHEAD:] = 0.0


def _save(work: Path, decoder: CausalDecoder, optimiser: torch.optim.Optimizer, step: int, spent: float) -> None:
    state = {"model": decoder.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}
    checkpointing.save(work / "decoder.pt", state)


def load(work: Path) -> CausalDecoder:
    state = checkpointing.load(work / "decoder.pt")
    if state is None:
        raise FileNotFoundError(f"{work / 'decoder.pt'} is missing: run `python -m training.voice.decoder` first")
    weight = state["model"]["conv1.conv.weight"]
    decoder = CausalDecoder(weight.shape[1], weight.shape[0], RATIOS)
    decoder.load_state_dict(state["model"])
    return decoder.eval()


@torch.no_grad()
def decode(decoder: CausalDecoder, given: np.ndarray) -> np.ndarray:
    """The wave of latents [frames, dims], [frames x HOP] float32."""
    wave: NDArray[np.float32] = decoder(torch.from_numpy(given).T[None])[0, 0].numpy()
    return wave


def follows(work: Path) -> tuple[float, float]:
    """Return how far the decoder's pitch is from the one it was given, over the utterances held back.

    The two values are the median and the 90th percentile in cents.
    """
    data, decoder, apart = np.load(work / "decoder.npz"), load(work), [np.zeros(0)]
    starts = data["starts"]
    for begin, end in zip(starts[:-1][-HELD:], starts[1:][-HELD:], strict=True):
        waves = data["waves"][begin * HOP : end * HOP] / 32767
        apart.append(pitch.cents(pitch.track(decode(decoder, data["latents"][begin:end])), pitch.track(waves)))
    every = np.concatenate(apart)
    return (float(np.median(every)), float(np.quantile(every, 0.9))) if len(every) else (float("inf"), float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--hours", type=float, default=1.0, help="of speech")
    parser.add_argument("--steps", type=int, default=16_000)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--eager", action="store_true", help="do not compile: for a few steps")
    o = parser.parse_args()
    torch.set_num_threads(1)
    build(o.work, o.hours)
    train(o.work, o.steps, o.minutes, eager=o.eager)
    middle, most = follows(o.work)
    print(f"pitch: {middle:.0f} cents, {most:.0f} at 90 %")


if __name__ == "__main__":
    main()
