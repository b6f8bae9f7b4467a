"""Train the language model on the voice's codes, with the trainer of `training.language`.

    python -m training.voice.language WORK --minutes 600 [--from realtime/checkpoints/pocket]

A clip is spoken by the voices that are made of its speaker. What is worn keeps its pitch, and a voice that is hidden
leaves its place to be seen. `--from` starts from a checkpoint with other codebooks: its layers are kept, the tables of
codes begin anew, those of length and place smooth in what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import HiggsAudioV2ForConditionalGeneration

from training import language, prompt
from training.batches import Corpus, Sampler, load_corpus, pack
from training.higgs import Batch
from training.language import LONGEST, ONSET_WEIGHT, POSITIONS, Settings, Task, codebook_weights, pocket_config
from training.voice import books, phase
from training.voice.codes import RATIOS
from training.voice.speakers import NOBODY, VOICES, voices_of

LAST_WEIGHT = 0.7
"""The weight of the last codebook, which holds the place beside the voice."""
NAMES = [voice.name for voice in VOICES]


@dataclass(frozen=True)
class Speech:
    """Holds what `speech.npz` has beside a corpus."""

    speakers: np.ndarray  # [clips]
    held: int


class VoiceSampler(Sampler):
    """Draws conversations of clips whose content ends with pitch codes for each ratio, [T, books + 2 x ratios]."""

    def __init__(
        self,
        corpus: Corpus,
        speech: Speech,
        tokenizer: Tokenizer,
        codebook_size: int,
        seed: int,
        limit: int,
        clips: range,
    ) -> None:
        super().__init__(corpus, tokenizer, NAMES, codebook_size, seed, limit, clips)
        self._of = [np.flatnonzero(speech.speakers[clips.start : clips.stop] == n) + clips.start for n in range(256)]

    def _pick(self, voice: int) -> int:
        return int(self._draw.choice(self._of[VOICES[voice].speaker]))

    def _by(self, content: np.ndarray, voice: int) -> np.ndarray:
        first = content.shape[1] - 2 * len(RATIOS) + 2 * RATIOS.index(VOICES[voice].ratio)
        return books.ids(content[:, : -2 * len(RATIOS)], content[:, first : first + 2], voice)

    def _worn(self, content: np.ndarray) -> np.ndarray:
        count = content.shape[1] - 2 * len(RATIOS)
        return np.concatenate([super()._worn(content[:, :count]), content[:, count:]], 1)

    def _hide(self, rows: np.ndarray) -> None:
        shown = rows[:, -1] < self._bos
        rows[shown, -1] = phase.SIXTEENTHS * NOBODY + rows[shown, -1] % phase.SIXTEENTHS


def load(work: Path, tokenizer: Tokenizer) -> tuple[Corpus, Speech]:
    """Read the corpus, with pitch codes behind the content's, and who speaks each clip."""
    corpus, data = load_corpus(work, tokenizer), np.load(work / "speech.npz")
    pitch = data["pitch"].reshape(len(corpus.codes), -1).astype(np.int64)
    whole = Corpus(
        np.concatenate([corpus.codes, pitch], 1),
        corpus.owners,
        corpus.symbols,
        corpus.frame_starts,
        corpus.symbol_starts,
    )
    return whole, Speech(data["speakers"], int(data["held"]))


def open_task(work: Path, source: str | None, small: bool = False) -> Task:
    """Return a model of as many codebooks as the codes ask for, new or begun from `source`, and its batches."""
    tokenizer = prompt.build_tokenizer(NAMES)
    corpus, speech = load(work, tokenizer)
    count = corpus.codes.shape[1] - 2 * len(RATIOS) + books.PITCH_BOOKS
    model = HiggsAudioV2ForConditionalGeneration(pocket_config(tokenizer, codebooks=count, small=small))
    begin(model, source)
    size, kept = model.config.codebook_size, len(corpus) - speech.held

    def drawn(seed: int, positions: int) -> Iterator[Batch]:
        return VoiceSampler(corpus, speech, tokenizer, size, seed, LONGEST, range(kept)).batches(positions)

    sampler = VoiceSampler(corpus, speech, tokenizer, size, 1, POSITIONS, range(kept, len(corpus)))
    held = [(clip, voices_of(int(speech.speakers[clip]))) for clip in range(kept, len(corpus))]
    validation = pack([sampler.sample([clip], voice=voices[clip % len(voices)]) for clip, voices in held])
    weights = codebook_weights(count)
    weights[-1] = LAST_WEIGHT
    return Task(model, drawn, validation, weights, ONSET_WEIGHT, guided=True)


@torch.no_grad()
def begin(model: HiggsAudioV2ForConditionalGeneration, source: str | None, seed: int = 0) -> None:
    """Copy the layers of `source`, if it is given, and begin the tables of length and place smooth in what their codes
    mean.
    """
    config, draw = model.config, torch.Generator().manual_seed(seed)
    tables = {"model.embed_audio_tokens.embed_audio_tokens.weight": 0.15, "audio_lm_head.weight": 0.05}
    if source:
        held = HiggsAudioV2ForConditionalGeneration.from_pretrained(source, dtype=torch.float32).state_dict()
        own = model.state_dict()
        fits = {name: value for name, value in held.items() if own[name].shape == value.shape and name not in tables}
        model.load_state_dict(fits, strict=False)
    for name, size in tables.items():
        table = model.get_parameter(name).view(config.num_codebooks, config.codebook_size, -1)
        for book, meaning in ((-2, _length_features()), (-1, _place_features())):
            new = meaning @ torch.randn(meaning.shape[1], table.shape[2], generator=draw)
            table[book, : len(new)] = new / new.std() * size


def _waves(code: Tensor) -> Tensor:
    turns = [2 * torch.pi * k * code / phase.SIXTEENTHS for k in range(1, phase.SIXTEENTHS // 2 + 1)]
    return torch.stack([wave(turn) for turn in turns for wave in (torch.cos, torch.sin)], 1)


def _length_features() -> Tensor:
    code = torch.arange(256.0)
    bumps = [torch.exp(-0.5 * ((code[:, None] - torch.arange(0, 256, width)) / width) ** 2) for width in (4, 16)]
    return torch.cat([*bumps, _waves(code)], 1)


def _place_features() -> Tensor:
    code = torch.arange(256.0)
    voice = torch.nn.functional.one_hot((code // phase.SIXTEENTHS).long(), 16).float()
    return torch.cat([_waves(code), _waves(code), voice], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--from", dest="source", help="checkpoint folder whose layers are begun from")
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--positions", type=int, default=1600)
    parser.add_argument("--guide", type=float, default=0.2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    if o.device == "cpu":
        torch.set_num_threads(1)
    settings = Settings(o.minutes, o.steps, o.rate, o.positions, o.guide, o.device, o.seed)
    language.train(o.work, settings, task=open_task(o.work, o.source))


if __name__ == "__main__":
    main()
