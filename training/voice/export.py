"""Write the voice's parts as one checkpoint folder that the engine and stock transformers load.

    python -m training.voice.export WORK FOLDER

As `training.export`, with codebooks for length and place."""

from __future__ import annotations

import argparse
from pathlib import Path

from training import export as writing
from training import quantizer as rvq
from training.voice import books
from training.voice.quantizer import Quantizer
from training.voice.speakers import VOICES

CARD = Path(__file__).with_name("card.md")


def served(work: Path) -> rvq.Quantizer:
    return books.served(Quantizer.load(work / "quantizer.npz"))


def export(work: Path, folder: Path) -> None:
    """Write FOLDER from WORK. Raises FileNotFoundError where a stage has not run yet."""
    writing.export(work, folder, VOICES, served, CARD, "training.voice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    o = parser.parse_args()
    export(o.work, o.folder)


if __name__ == "__main__":
    main()
