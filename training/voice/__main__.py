"""The recipe of the voice, from nothing to a checkpoint folder.

    python -m training.voice WORK FOLDER [--clauses 36000] [--minutes 600] [--tiny]

Each stage is skipped when what it makes is there, and the long ones go on where they stopped. So the same command,
given again, resumes. `--tiny` runs every stage in less than a minute on the stand-in's speech and makes noise."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from training.codec import HIDDEN
from training.evaluate import write_card
from training.language import Settings, train
from training.voice import (
    codes,
    corpus,
    decoder,
    ears,
    encoder,
    evaluate,
    export,
    gate,
    graph,
    language,
    quantizer,
    shortcut,
    stand_in,
    state,
    weights,
)
from training.voice.speakers import VOICES
from training.voice.teacher import Synthesiser
from training.voice.text import notations

BEGIN = Path(__file__).parents[2] / "realtime" / "checkpoints" / "pocket"
"""The checkpoint whose layers the language model begins with."""

Stage = tuple[str, Callable[[], None]]


@dataclass(frozen=True)
class Plan:
    """Says how much there is of everything."""

    clauses: int = 36_000
    first_hours: float = 1.0
    """Of speech. From it the quantizer and the decoder are learned, so that all gates come before the hours."""
    shortcut_sentences: int = 120
    shortcut_steps: int = 6_000
    books: int = quantizer.BOOKS
    dims: int = quantizer.DIMS
    gate_sentences: int = 200
    decoder_hours: float = 1.0
    decoder_steps: int = 16_000
    hidden: int = HIDDEN
    encoder_steps: int = 8_000
    minutes: float = 600.0
    sentences: int = 100
    tiny: bool = False


TINY = Plan(
    clauses=40,
    books=2,
    dims=16,
    gate_sentences=4,
    decoder_hours=0.02,
    decoder_steps=4,
    hidden=64,
    encoder_steps=2,
    minutes=0.05,
    sentences=1,
    tiny=True,
)


def stages(work: Path, folder: Path, plan: Plan) -> list[Stage]:
    """Name and work of each stage in order."""
    return [
        *([] if plan.tiny else _teacher(work, plan)),
        ("first speech", lambda: corpus.build(work, _opened(work, plan), plan.clauses, plan.first_hours)),
        ("quantizer", lambda: quantizer.make(work, plan.books, plan.dims)),
        ("gate", lambda: _gate(work, plan)),
        ("decoder's data", lambda: decoder.build(work, plan.decoder_hours)),
        ("decoder", lambda: _decoder(work, plan)),
        ("pitch", lambda: _pitch(work, plan)),
        ("all speech", lambda: corpus.build(work, _opened(work, plan), plan.clauses)),
        ("encoder", lambda: encoder.train(work, plan.encoder_steps, **({"size": 2, "frames": 8} if plan.tiny else {}))),
        ("codes", lambda: codes.build(work)),
        ("language model", lambda: _language(work, plan)),
        ("export", lambda: export.export(work, folder)),
        ("evaluation", lambda: _evaluation(work, folder, plan)),
    ]


def _teacher(work: Path, plan: Plan) -> list[Stage]:
    texts = partial(notations, plan.shortcut_sentences, seed=11)
    return [
        ("teacher", lambda: graph.write(weights.fetch(work))),
        ("what is kept", lambda: state.take(work)),
        ("shortcut", lambda: shortcut.make(work, texts, plan.shortcut_steps)),
    ]


def _opened(work: Path, plan: Plan) -> Synthesiser:
    return stand_in.StandIn() if plan.tiny else shortcut.Teacher(work)


def _gate(work: Path, plan: Plan) -> None:
    if (work / "gate.json").exists():
        gate.hold(json.loads((work / "gate.json").read_text(encoding="utf-8")))
        return
    hearing = None if plan.tiny else ears.Ears(ears.fetch(work))
    found = gate.check(work, _opened(work, plan), hearing, plan.gate_sentences)
    print(found, flush=True)
    gate.hold(found)


def _decoder(work: Path, plan: Plan) -> None:
    if plan.tiny:
        decoder.train(work, plan.decoder_steps, size=2, frames=12, hidden=plan.hidden, eager=True)
    else:
        decoder.train(work, plan.decoder_steps)


def _pitch(work: Path, plan: Plan) -> None:
    middle, most = decoder.follows(work)
    print(f"the decoder follows the pitch to {middle:.0f} cents, {most:.0f} at 90 %", flush=True)
    if not plan.tiny:
        gate.hold_pitch(middle)


def _language(work: Path, plan: Plan) -> None:
    task = language.open_task(work, None if plan.tiny else str(BEGIN), small=plan.tiny)
    settings = Settings(plan.minutes, 10**9, rate=1.2e-3, positions=1600, guide=0.2, device="cpu", seed=0)
    train(work, settings, small=plan.tiny, task=task)


def _evaluation(work: Path, folder: Path, plan: Plan) -> None:
    if (work / "evaluation.json").exists():
        return
    recogniser = None if plan.tiny else evaluate.Whisper(ears.fetch(work))
    names = [voice.name for voice in VOICES][: 1 if plan.tiny else None]
    longest = 2.0 if plan.tiny else 30.0
    rows, levels = evaluate.evaluate(work, folder, _opened(work, plan), recogniser, names, plan.sentences, longest)
    write_card(folder, evaluate.markdown(rows, levels), evaluate.ABOUT)
    (work / "evaluation.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


def run(work: Path, folder: Path, plan: Plan) -> None:
    """Run all stages. Raises ValueError where the gate does not hold."""
    work.mkdir(parents=True, exist_ok=True)
    for name, stage in stages(work, folder, plan):
        began = time.monotonic()
        print(f"== {name}", flush=True)
        stage()
        print(f"   {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clauses", type=int, default=Plan.clauses)
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="of language-model training")
    parser.add_argument("--tiny", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(1)
    run(o.work, o.folder, TINY if o.tiny else Plan(clauses=o.clauses, minutes=o.minutes))


if __name__ == "__main__":
    main()
