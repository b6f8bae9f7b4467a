"""Train the codec's decoder: from quantised features of a frame to its wave.

    python -m training.codec WORK --steps 4000 [--from FOLDER]

One decoder serves all voices: the content codes come from the reference voice, the last code names the voice whose
wave is the target. Pitch is locked to the frames, so a plain waveform distance can stand beside the spectral one, and
no adversary is needed. Starts from the codec folder that `--from` names, else from random weights. Resumes from
WORK/decoder.pt; stops after --steps or --minutes, whichever comes first."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import checkpointing
from training import quantizer as rvq
from training.causal import LOOKAHEAD, CausalDecoder
from training.codec_folder import read_decoder
from training.compiling import compiled
from training.prepare import load_quantizer
from training.speech import HOP, VOICES

RATIOS = [8, 5, 4, 2, 3]
HIDDEN = 256
WARM_FRAMES = 6  # at the start of a window the decoder lacks its past; these frames carry no loss
STARTS_EVERY = 2  # every other batch begins where clips begin: from nothing, and without a click
START_WEIGHT = 5.0  # of the first ten milliseconds of a clip
SPECTRA = (128, 256, 512, 1024, 2048)
MELS = {512: 40, 1024: 64}  # bands at these resolutions, up to 7.6 kHz
QUIET = 1e-4  # amplitude (-80 dBFS) below which no difference counts


@dataclass
class Data:
    """Holds codes and waves of all voices, frame for frame, as one long sequence."""

    latents: Tensor  # [frames, dims] of content, the voice's own added when drawn
    voices: Tensor  # [voices, dims]
    waves: Tensor  # [voices, frames, HOP] int16
    starts: np.ndarray

    def batch(
        self, size: int, frames: int, weights: Tensor, draw: torch.Generator, at_starts: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Draw latents [B, dims, frames] and waves [B, frames x HOP] of random windows, or of windows where clips
        start.
        """
        at = torch.randint(0, len(self.latents) - frames, (size,), generator=draw)
        if at_starts:
            starts = torch.from_numpy(self.starts[self.starts < len(self.latents) - frames])
            at = starts[torch.randint(0, len(starts), (size,), generator=draw)]
        who = torch.multinomial(weights, size, replacement=True, generator=draw)
        index = at[:, None] + torch.arange(frames)
        latents = self.latents[index] + self.voices[who][:, None]
        return latents.transpose(1, 2), self.waves[who[:, None], index].reshape(size, -1).float() / 32767


def load(work: Path) -> Data:
    data, fitted = np.load(work / "codec.npz"), load_quantizer(work)
    waves = np.stack([data[voice.name].reshape(-1, HOP) for voice in VOICES])
    content = fitted.encode(fitted.content(rvq.features(data[VOICES[0].name].astype(np.float32) / 32767)))
    codes = np.concatenate([content, np.full((len(content), 1), len(fitted.books[-1]) - 1, np.uint8)], 1)
    latents = fitted.decode(codes) - fitted.books[-1][-1]
    return Data(
        torch.from_numpy(latents.astype(np.float32)),
        torch.from_numpy(fitted.books[-1][: len(VOICES)]),
        torch.from_numpy(waves),
        data["starts"],
    )


def spectral_distance(ours: Tensor, target: Tensor) -> Tensor:
    """Return the distance of [B, n] waves in magnitude and log-magnitude, at several resolutions.

    At two of them the distance in mel bands, which is closer to what an ear tells apart, is added.
    """
    total = ours.new_zeros(())
    for size in SPECTRA:
        window = torch.hann_window(size, device=ours.device)
        both = torch.cat([ours, target])
        spectrum = torch.stft(both, size, size // 4, window=window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        mine, wanted = (power + 1e-9).sqrt().chunk(2)
        floor = QUIET * size / 4  # the magnitude of a sine of that amplitude
        total = (
            total
            + (mine - wanted).norm() / wanted.norm().clamp_min(1.0)
            + (torch.log(mine + floor) - torch.log(wanted + floor)).abs().mean()
        )
        if size in MELS:
            bank = torch.from_numpy(rvq.mel_bank(size // 2 + 1, MELS[size])).to(power)
            heard, meant = torch.log(bank.T @ power + floor**2).chunk(2)
            total = total + (heard - meant).abs().mean()
    return total / len(SPECTRA)


def distance(ours: Tensor, target: Tensor, wave_weight: float = 6.0) -> tuple[Tensor, Tensor]:
    spectral = spectral_distance(ours, target)
    plain = (ours - target).abs().mean()
    return spectral + wave_weight * plain, plain


def build_decoder(dims: int, hidden: int = HIDDEN) -> CausalDecoder:
    return CausalDecoder(dims, hidden, RATIOS)


def train(
    work: Path,
    steps: int,
    minutes: float,
    size: int,
    frames: int,
    rate: float,
    device: str,
    seed: int,
    hidden: int = HIDDEN,
    source: Path | None = None,
    eager: bool = False,
) -> None:
    torch.manual_seed(seed)
    data = load(work)
    decoder = read_decoder(source) if source else build_decoder(data.latents.shape[1], hidden)
    decoder.to(device)
    stepped = compiled(decoder, eager)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=rate, betas=(0.8, 0.95), weight_decay=0.001)
    log = checkpointing.LossLog(work / "decoder.log")
    state, step, spent = checkpointing.load(work / "decoder.pt"), 0, 0.0
    if state:
        decoder.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    # The reference voice is drawn most often; the others only have to learn how they differ from it.
    weights = torch.tensor([2.0] + [1.0] * (len(data.voices) - 1))
    draw = torch.Generator().manual_seed(seed + step)
    mean = {"loss": 0.0, "wave": 0.0, "count": 0}
    while step < steps and spent + log.seconds < 60 * minutes:
        done = max(step / steps, (spent + log.seconds) / (60 * minutes))
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        at_starts = step % STARTS_EVERY == 0
        latents, target = (part.to(device) for part in data.batch(size, frames, weights, draw, at_starts))
        ours = stepped(latents)[:, 0]  # in float32: what bfloat16 rounds away is louder than a pause
        keep = slice(0 if at_starts else WARM_FRAMES * HOP, -HOP)  # the last frame lacks its look-ahead
        loss, plain = distance(ours[:, keep], target[:, keep])
        if at_starts:  # a click of two milliseconds is nothing in the mean of a window, and plain to hear
            first = slice(0, HOP // 4)
            loss = loss + START_WEIGHT * (ours[:, first] - target[:, first]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        blind(decoder)
        step += 1
        mean = {"loss": mean["loss"] + loss.item(), "wave": mean["wave"] + plain.item(), "count": mean["count"] + 1}
        if step % 50 == 0 or step == steps:
            log.write(step=step, loss=mean["loss"] / mean["count"], wave=mean["wave"] / mean["count"])
            mean = {"loss": 0.0, "wave": 0.0, "count": 0}
        if step % 200 == 0 or step == steps:
            _save(work, decoder, optimiser, step, spent + log.seconds)
    _save(work, decoder, optimiser, step, spent + log.seconds)


@torch.no_grad()
def blind(decoder: CausalDecoder) -> None:
    """Make the tap that looks ahead blind to the voice.

    The last codebook, which names the voice, is the last to arrive while streaming. All other codes of the next frame
    are known by then, so that streaming without any waiting equals decoding the whole.
    """
    decoder.conv1.conv.weight[:, -rvq.VOICE_DIMS :, -LOOKAHEAD:] = 0.0


def _save(work: Path, decoder: CausalDecoder, optimiser: torch.optim.Optimizer, step: int, spent: float) -> None:
    state = {"model": decoder.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}
    checkpointing.save(work / "decoder.pt", state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--from", dest="source", type=Path, help="codec folder whose decoder is trained on")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=HIDDEN)
    parser.add_argument("--eager", action="store_true", help="do not compile: for a few steps")
    o = parser.parse_args()
    train(o.work, o.steps, o.minutes, o.batch, o.frames, o.rate, o.device, o.seed, o.hidden, o.source, o.eager)


if __name__ == "__main__":
    main()
