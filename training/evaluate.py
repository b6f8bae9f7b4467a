"""Measure a checkpoint on 100 held-out sentences beside the synthesiser it learned from.

    python -m training.evaluate WORK FOLDER [--jobs 2] [--pictures WORK/spectrograms] [--endings 1000]

For each voice and kind of sentence (everyday, with digits and dates, prose): word error of a fixed offline recogniser
on the source, on the codec's resynthesis of it, on what the codec's encoder and decoder make of it and on our speech;
distance of our speech to the source; its duration over the source's; and how many utterances had to be cut because they
did not end."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from codec_stream.codec_config import CodecConfig
from codec_stream.encoder import Encoder
from codec_stream.weights import load_codec_weights
from realtime.request import Sampling
from realtime.text import normalise
from training import measure
from training import quantizer as rvq
from training.codec_folder import stock_decoder
from training.flite import Flite
from training.levels import Levels
from training.prepare import load_quantizer, sentences
from training.sentences import held_out
from training.speak import Speaker
from training.speech import HOP, VOICES, VoiceRecipe, synthesise, write_wav


@dataclass
class Row:
    """Sums up over sentences of one kind by one voice."""

    sentences: int = 0
    words: int = 0
    source: int = 0
    codec: int = 0
    encoded: int = 0
    ours: int = 0
    distance: float = 0.0
    duration: float = 0.0
    source_duration: float = 0.0
    endless: int = 0

    def cells(self) -> list[str]:
        words, count = max(1, self.words), max(1, self.sentences)
        return [
            str(self.sentences),
            *(f"{part / words:.3f}" for part in (self.source, self.codec, self.encoded, self.ours)),
            f"{self.distance / count:.1f}",
            f"{self.duration / max(1e-9, self.source_duration):.2f}",
            f"{self.endless / count:.1%}",
        ]


PREFIX = "acoustic_decoder."
ABOUT = """\
Sentences that no template or prose of the training text holds. WER: word error of pocketsphinx (default model) on the
synthesiser, on the codec's resynthesis of it (from the codes that it was trained with), on what the codec's encoder and
decoder make of it, and on this checkpoint's speech through the engine with its default sampling. mel dB: log-mel
distance to the source along the best time warp. duration: ours over the source's. no end: utterances cut at 30 s."""
HEAD = [
    "voice",
    "kind",
    "sentences",
    "WER source",
    "WER codec",
    "WER encoded",
    "WER ours",
    "mel dB",
    "duration",
    "no end",
]


class Codec:
    """Runs the codec of a checkpoint folder on whole clips."""

    def __init__(self, folder: Path, work: Path) -> None:
        weights, config = load_codec_weights(folder), CodecConfig.from_json(folder / "config.json")
        self._encoder = Encoder(config, weights)
        self._decoder = stock_decoder(config).eval()
        self._decoder.load_state_dict(
            {name.removeprefix(PREFIX): tensor for name, tensor in weights.items() if name.startswith(PREFIX)}
        )
        self._fitted = load_quantizer(work)

    def resynthesise(self, reference: np.ndarray, voice: int) -> np.ndarray:
        """Encode a wave of the reference voice to codes, and decode these to a wave by `voice`."""
        content = self._fitted.encode(self._fitted.content(rvq.features(reference)))
        return self._decode(np.concatenate([content, np.full((len(content), 1), voice, np.uint8)], 1))

    def reencode(self, wave: np.ndarray) -> np.ndarray:
        """Encode a wave of any voice by the codec's encoder, and decode it again."""
        return self._decode(self._encoder.encode(wave.astype(np.float32)))

    @torch.no_grad()
    def _decode(self, codes: np.ndarray) -> np.ndarray:
        latents = torch.from_numpy(self._fitted.decode(codes).astype(np.float32)).T[None]
        wave: NDArray[np.float32] = self._decoder(latents)[0, 0].numpy()
        return wave


@dataclass(frozen=True)
class Plan:
    """Says what is measured, the same for every voice."""

    work: Path
    folder: Path
    limit: int  # sentences of each kind
    endings: int  # other clauses, of which only those are counted that do not end
    pictures: Path | None
    sampling: Sampling
    max_seconds: float


@dataclass(frozen=True)
class Findings:
    """Holds what was measured of one voice."""

    rows: list[list[str]]
    levels: Levels
    clauses: int
    cut: int


def evaluate(plan: Plan, number: int) -> Findings:
    """Measure voice `number`: a row for each kind of sentence, the worst of all levels, and how many did not end."""
    torch.set_num_threads(1)
    voice, recogniser, flite = VOICES[number], measure.Recogniser(), Flite()
    speaker, codec = Speaker(plan.folder, max_clause_s=plan.max_seconds), Codec(plan.folder / "codec", plan.work)
    gains = np.load(plan.work / "codec.npz")
    rows, levels = [], []
    for kind, texts in held_out().items():
        row, texts = Row(), texts[: plan.limit]
        for index, (text, spoken) in enumerate(
            zip(texts, speaker.say(texts, voice.name, sampling=plan.sampling), strict=True)
        ):
            source = _source(flite, text, voice, gains)
            again = codec.resynthesise(_source(flite, text, VOICES[0], gains), number)
            # an utterance without any samples is measured as a frame of silence
            ours = spoken.samples if len(spoken.samples) else np.zeros(HOP, np.float32)
            wanted = measure.words_of(text)
            row.sentences += 1
            row.words += len(wanted)
            row.source += measure.errors(wanted, recogniser.words(source))
            row.codec += measure.errors(wanted, recogniser.words(again))
            row.encoded += measure.errors(wanted, recogniser.words(codec.reencode(source)))
            row.ours += measure.errors(wanted, recogniser.words(ours))
            row.distance += measure.distance(ours, source)
            row.duration += len(spoken.samples)
            row.source_duration += len(source)
            row.endless += not spoken.ended
            levels.append(Levels.of(ours))
            if plan.pictures and index < 4:
                name = f"{voice.name}_{kind}_{index}"
                measure.spectrogram(plan.pictures / f"{name}.png", [source, again, ours])
                write_wav(plan.pictures / f"{name}.wav", ours)
        rows.append([voice.name, kind, *row.cells()])
        print(" | ".join(rows[-1]), flush=True)
    clauses = sentences(plan.endings, seed=99)[number :: len(VOICES)] if plan.endings else []
    cut = sum(not spoken.ended for spoken in speaker.say(clauses, voice.name, seed=1, sampling=plan.sampling))
    return Findings(rows, Levels.worst(levels), len(clauses), cut)


def _source(flite: Flite, text: str, voice: VoiceRecipe, gains: dict[str, np.ndarray]) -> np.ndarray:
    return synthesise(flite, normalise(text), voice, float(gains[f"gain_{voice.name}"])).samples


def markdown(table: list[list[str]]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *table]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report(findings: list[Findings]) -> str:
    """Write the findings in Markdown: the table, then what is not in it."""
    lines = [markdown([row for found in findings for row in found.rows]), ""]
    lines += ["Levels of all these utterances, the worst of each voice:", ""]
    lines += [f"- {found.rows[0][0]}: {found.levels.line()}" for found in findings]
    if clauses := sum(found.clauses for found in findings):
        cut = sum(found.cut for found in findings)
        lines += ["", f"{cut} of {clauses} other clauses, a third by each voice, had to be cut."]
    return "\n".join(lines)


def write_card(folder: Path, found: str, about: str = ABOUT) -> None:
    """Put the report where the model card has its evaluation, below the text `about` it."""
    card = folder / "README.md"
    head, _, _ = card.read_text(encoding="utf-8").partition("## Evaluation")
    card.write_text(f"{head}## Evaluation\n\n{about}\n\n{found}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="voices measured at once, each in a process of its own")
    parser.add_argument("--voice", action="append", help="one voice; may be given again. All by default")
    parser.add_argument("--limit", type=int, default=100, help="sentences of each kind")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--card", action="store_true", help="write the table into FOLDER/README.md")
    parser.add_argument("--endings", type=int, default=0, help="also speak so many new clauses and count those cut")
    parser.add_argument("--max-seconds", type=float, default=30.0, help="after which a clause is cut")
    parser.add_argument("--pictures", type=Path, help="folder for spectrograms (source, codec, ours) and waves")
    o = parser.parse_args()
    started = time.monotonic()
    voices = [number for number, voice in enumerate(VOICES) if not o.voice or voice.name in o.voice]
    sampling = Sampling(temperature=o.temperature, greedy=o.greedy or None)
    if o.pictures:
        o.pictures.mkdir(parents=True, exist_ok=True)
    plan = Plan(o.work, o.folder, o.limit, o.endings, o.pictures, sampling, o.max_seconds)
    with ProcessPoolExecutor(o.jobs, multiprocessing.get_context("spawn")) as pool:
        findings = list(pool.map(partial(evaluate, plan), voices))
    found = report(findings)
    if o.card:
        write_card(o.folder, found)
    print(f"\n{found}\n\n{time.monotonic() - started:.0f} s")
    table = [dict(zip(HEAD, row, strict=True)) for each in findings for row in each.rows]
    (o.work / "evaluation.json").write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
