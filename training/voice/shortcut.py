"""A short way from what the teacher hides to rows, so that its own vocoder need not run.

    python -m training.voice.shortcut WORK [--sentences 120] [--steps 6000]

The teacher's vocoder is seven eighths of its work. It is a local function of the hidden states, the pitch and the
voice, so a small network of convolutions learns what WORLD says of its waves from minutes of speech. Leaves
`shortcut/*.npz` (hidden states and rows of each sentence) and `shortcut.npz` (the network, a few hundred kilobytes)."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec_stream.rate import SAMPLE_RATE
from training import checkpointing
from training.voice import teacher as teaching
from training.voice.rows import LEAST_DB, MELS, ROW, STEP
from training.voice.speakers import SPEAKERS, gain_of
from training.voice.teacher import Kokoro, Spoken
from training.voice.utterance import Utterance, silence_pitch, trimmed

HIDDEN = 512
WIDTH = 192
BAND_WEIGHT = 3.0
VALIDATION = 10  # every tenth sentence
WINDOW = 64
SAVED_EVERY = 500  # steps


class Net(nn.Module):
    """Turns states [B, HIDDEN + 2, n] at row times into [B, ROW, n]: log mels, then aperiodicity in tens of
    decibels.
    """

    mean: Tensor
    scale: Tensor
    level: Tensor

    def __init__(self, speakers: int) -> None:
        super().__init__()
        self.voice = nn.Embedding(speakers, WIDTH)
        self.first = nn.Conv1d(HIDDEN + 2, WIDTH, 3, padding=1)
        self.second = nn.Conv1d(WIDTH, WIDTH, 5, padding=2)
        self.third = nn.Conv1d(WIDTH, WIDTH, 1)
        self.last = nn.Conv1d(WIDTH, ROW, 1)
        self.register_buffer("mean", torch.zeros(HIDDEN + 2, 1))
        self.register_buffer("scale", torch.ones(HIDDEN + 2, 1))
        self.register_buffer("level", torch.zeros(ROW, 1))

    def forward(self, states: Tensor, speaker: Tensor) -> Tensor:
        x = F.gelu(self.first((states - self.mean) / self.scale) + self.voice(speaker)[:, :, None])
        x = x + F.gelu(self.second(x))
        x = x + F.gelu(self.third(x))
        rows: Tensor = self.last(x) + self.level
        return rows


def states(spoken: Spoken) -> np.ndarray:
    """Return hidden states and pitch at row times, [HIDDEN + 2, n] float32."""
    count = int(spoken.hidden.shape[1] * teaching.FRAME_S * SAMPLE_RATE) // STEP
    place = np.clip(
        (np.arange(count) + 0.5) * STEP / SAMPLE_RATE / teaching.FRAME_S - 0.5, 0, spoken.hidden.shape[1] - 1
    )
    low = np.minimum(place.astype(int), spoken.hidden.shape[1] - 2)
    share = (place - low).astype(np.float32)
    hidden = spoken.hidden[:, low] * (1 - share) + spoken.hidden[:, low + 1] * share
    f0 = spoken.f0[np.round(place).astype(int)]
    pitch = np.stack([f0 > 0, np.log(np.maximum(f0, teaching.VOICED_HZ) / 100)])
    return np.concatenate([hidden, pitch]).astype(np.float32)


class Teacher:
    """Speaks by Kokoro and the network in place of its vocoder. Gives utterances."""

    def __init__(self, work: Path) -> None:
        self._kokoro = Kokoro(work / "teacher")
        held = np.load(work / "shortcut.npz")
        self._speakers = [str(name) for name in held["speakers"]]
        self._net = Net(len(self._speakers)).eval()
        self._net.load_state_dict(
            {k: torch.from_numpy(v.astype(np.float32)) for k, v in held.items() if k != "speakers"}
        )

    def say(self, notation: str, speaker: str) -> Utterance:
        return self.utterance(notation, self._kokoro.say(notation, speaker), speaker)

    @torch.no_grad()
    def utterance(self, notation: str, spoken: Spoken, speaker: str) -> Utterance:
        given = torch.from_numpy(states(spoken))
        who = torch.tensor([self._speakers.index(speaker)])
        rows = as_rows(self._net(given[None], who)[0].T.numpy(), given[HIDDEN].numpy() > 0)
        rows[:, :MELS] += 2 * np.log(gain_of(speaker))
        return trimmed(notation, rows, silence_pitch(rows, teaching.spread(spoken.f0)), spoken.seconds)


def as_rows(found: np.ndarray, is_voiced: np.ndarray) -> np.ndarray:
    """Turn what the network found into rows that keep their promises: voiced ones are periodic at least a little."""
    result = found.copy()
    result[:, MELS:] = np.where(is_voiced[:, None], np.clip(found[:, MELS:], -6.0, LEAST_DB / 10), 0.0)
    return result


def make(work: Path, notations: Callable[[], list[str]], steps: int) -> None:
    """`shortcut.npz`, if it is not there: gather, then train."""
    if (work / "shortcut.npz").exists():
        return
    gather(work, notations(), [speaker.name for speaker in SPEAKERS])
    train(work, steps)


def gather(work: Path, notations: list[str], speakers: list[str]) -> None:
    """Write states and rows of every sentence by every speaker. Files that are there are kept."""
    from training.voice.analysis import analyse

    folder = work / "shortcut"
    folder.mkdir(parents=True, exist_ok=True)
    todo = [(i, n, s) for i, n in enumerate(notations) for s in speakers if not (folder / f"{s}_{i:04d}.npz").exists()]
    if not todo:
        return
    kokoro = Kokoro(work / "teacher", whole=True)
    for done, (index, notation, speaker) in enumerate(todo):
        spoken = kokoro.say(notation, speaker)
        assert spoken.wave is not None  # the whole graph makes waves
        rows = analyse(spoken.wave, teaching.spread(spoken.f0))
        given = states(spoken)[:, : len(rows)]
        np.savez(folder / f"{speaker}_{index:04d}.npz", states=given.astype(np.float16), rows=rows[: given.shape[1]])
        if done % 20 == 19:
            print(f"shortcut: {done + 1} of {len(todo)} sentences", flush=True)


def train(work: Path, steps: int, rate: float = 2e-3, batch: int = 16, seed: int = 0) -> None:
    """Fit the network. Voiced rows' bands and all mels, by absolute distance. Resumes from `shortcut.pt`."""
    torch.manual_seed(seed)
    paths = sorted((work / "shortcut").glob("*.npz"))
    speakers = sorted({path.stem.rpartition("_")[0] for path in paths})
    clips = []
    for path in paths:
        data = np.load(path)
        speaker, _, sentence = path.stem.rpartition("_")
        clips.append(
            (
                torch.from_numpy(data["states"].astype(np.float32)),
                torch.from_numpy(data["rows"]),
                speakers.index(speaker),
                int(sentence),
            )
        )
    learnt = [clip for clip in clips if clip[3] % VALIDATION]
    held = [clip for clip in clips if clip[3] % VALIDATION == 0]
    net = Net(len(speakers))
    everything = torch.cat([clip[0] for clip in learnt], 1)
    net.mean.copy_(everything.mean(1, keepdim=True))
    net.scale.copy_(everything.std(1, keepdim=True) + 1e-3)
    net.level.copy_(torch.cat([clip[1] for clip in learnt]).mean(0)[:, None])
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01)
    first, state = 1, checkpointing.load(work / "shortcut.pt")
    if state:
        net.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"] + 1
    draw, log = np.random.default_rng(seed + first - 1), checkpointing.LossLog(work / "shortcut.log")
    for step in range(first, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, step / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        windows = []
        for number in draw.integers(0, len(learnt), batch):
            given, rows, who, _ = learnt[number]
            at = int(draw.integers(0, max(1, len(rows) - WINDOW)))
            short = max(0, WINDOW - len(rows))
            windows.append(
                (F.pad(given, (0, short))[:, at : at + WINDOW], F.pad(rows, (0, 0, 0, short))[at : at + WINDOW].T, who)
            )
        given, wanted, who = (
            torch.stack([torch.as_tensor(part) for part in column]) for column in zip(*windows, strict=True)
        )
        loss = _distance(net(given, who), wanted, given[:, HIDDEN])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0 or step == steps:
            log.write(step=step, loss=loss.item(), decibels=_decibels(net, held or learnt))
        if step % SAVED_EVERY == 0:
            kept = {"model": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
            checkpointing.save(work / "shortcut.pt", kept)
    halved = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items()}
    np.savez(work / "shortcut.npz", speakers=np.array(speakers), **halved)


def _distance(found: Tensor, wanted: Tensor, is_voiced: Tensor) -> Tensor:
    apart = (found - wanted).abs()
    bands = (apart[:, MELS:].mean(1) * is_voiced).mean()
    return apart[:, :MELS].mean() + BAND_WEIGHT * bands


@torch.no_grad()
def _decibels(net: Net, clips: list[tuple[Tensor, Tensor, int, int]]) -> float:
    """Return the root mean square of the envelope's error over mel bands, in decibels."""
    apart = [net(given[None], torch.tensor([who]))[0, :MELS] - rows.T[:MELS] for given, rows, who, _ in clips]
    return float(torch.cat(apart, 1).square().mean().sqrt() * 10 / np.log(10))


def main() -> None:
    from training.voice.text import notations

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sentences", type=int, default=120, help="by each speaker")
    parser.add_argument("--steps", type=int, default=6000)
    o = parser.parse_args()
    torch.set_num_threads(1)
    make(o.work, partial(notations, o.sentences, seed=11), o.steps)


if __name__ == "__main__":
    main()
