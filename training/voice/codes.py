"""The corpus as codes: what the language model learns from, and a fortieth of the corpus in size.

    python -m training.voice.codes WORK

Leaves `speech.npz`: content codes of every clause, cut into frames at `CUTS` places ten milliseconds apart, which keeps
a small corpus from being learned by heart; pitch codes for every ratio that a voice asks for; owners and symbols."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np

from training.voice import phase
from training.voice.corpus import read
from training.voice.quantizer import Quantizer
from training.voice.rows import PARTS
from training.voice.speakers import VOICES
from training.voice.utterance import Utterance, f0_values

CUTS = PARTS
HELD = 64
"""How many clauses at the end are not learned from. They are cut at one place only."""
RATIOS = tuple(sorted({voice.ratio for voice in VOICES}))

_SYMBOL = re.compile(r"ˈ?[\s\S]")


def symbols_of(notation: str) -> tuple[list[str], np.ndarray]:
    """Return the symbols (a mark belongs to its vowel), and for every character of the notation its symbol's number."""
    found = _SYMBOL.findall(notation)
    return found, np.repeat(np.arange(len(found)), [len(symbol) for symbol in found])


def later(utterance: Utterance, rows: int) -> Utterance:
    """Return the same speech `rows` rows later, so that it is cut into frames elsewhere. The end falls off."""
    if not rows:
        return utterance
    values = 2 * rows  # of f0
    moved = np.concatenate([np.repeat(utterance.rows[:1], rows, 0), utterance.rows])[: len(utterance.rows)]
    f0 = np.concatenate([np.repeat(utterance.f0[:1], values), utterance.f0])[: f0_values(utterance.frames)]
    return Utterance(utterance.notation, moved, f0, utterance.owner)


def build(work: Path, cuts: int = CUTS, held: int = HELD, seed: int = 0) -> None:
    """Write `speech.npz` and `vocabulary.json`; clauses are in a random order, with those held back at the end."""
    if (work / "speech.npz").exists():
        return
    fitted, draw = Quantizer.load(work / "quantizer.npz"), np.random.default_rng(seed)
    spoken = [(speaker, utterance) for speaker, _, utterance in read(work)]
    held = min(held, len(spoken) // 4)
    jobs = [(index, cut) for index in range(len(spoken) - held) for cut in range(cuts)]
    draw.shuffle(jobs)
    jobs += [(index, 0) for index in range(len(spoken) - held, len(spoken))]
    columns: dict[str, list[np.ndarray]] = {"codes": [], "pitch": [], "owners": []}
    symbols, speakers = [], []
    for index, cut in jobs:
        speaker, utterance = spoken[index]
        found, place = symbols_of(utterance.notation)
        moved = later(utterance, cut)
        turned = draw.integers(phase.SIXTEENTHS)  # where in its cycle a clause begins means nothing
        pairs = [phase.codes(moved.knots(ratio) + turned) for ratio in RATIOS]
        columns["codes"].append(fitted.encode(moved.rows))
        columns["pitch"].append(np.stack(pairs, 1).astype(np.uint8))
        columns["owners"].append(place[moved.owner].astype(np.int16))
        symbols.append(found)
        speakers.append(speaker)
    vocabulary = sorted({symbol for part in symbols for symbol in part})
    numbers = {symbol: number for number, symbol in enumerate(vocabulary)}
    np.savez(
        work / "speech.npz",
        allow_pickle=False,
        **{name: np.concatenate(parts) for name, parts in columns.items()},
        symbols=np.array([numbers[symbol] for part in symbols for symbol in part], np.uint8),
        speakers=np.array(speakers, np.uint8),
        frame_starts=np.cumsum([0, *map(len, columns["owners"])]),
        symbol_starts=np.cumsum([0, *map(len, symbols)]),
        held=np.array(held),
    )
    (work / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    build(parser.parse_args().work)


if __name__ == "__main__":
    main()
