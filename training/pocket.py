"""The whole recipe, from nothing to a checkpoint folder with its evaluation.

    python -m training.pocket WORK FOLDER [--minutes 90] [--tiny]

Each stage is a program of its own and is skipped when what it makes is there; trainers go on where they stopped. So
the same command, given again, resumes. `--tiny` runs every stage in a minute or two and makes noise."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from training.flite import install, library_folder


@dataclass(frozen=True)
class Plan:
    """Says how much there is of everything."""

    clips: int = 45_000
    codec_clips: int = 1_200
    codec_steps: int = 2_800
    encoder_steps: int = 1_500
    minutes: float = 90.0
    ranks: int = 1
    sentences: int = 100
    tiny: bool = False


TINY = Plan(clips=60, codec_clips=12, codec_steps=6, encoder_steps=4, minutes=0.2, sentences=1, tiny=True)


def stages(work: Path, folder: Path, plan: Plan) -> list[tuple[str, list[str]]]:
    """Return the name and the command of each stage, in order."""
    python = [sys.executable, "-u", "-m"]
    many = ["torch.distributed.run", "--nproc-per-node", str(plan.ranks), "-m"] if plan.ranks > 1 else []
    small = ["--small"] if plan.tiny else []
    narrow = ["--hidden", "64", "--batch", "2", "--frames", "12", "--eager"] if plan.tiny else []
    evaluated = ["--limit", str(plan.sentences), "--pictures", str(work / "spectrograms"), "--card"]
    if plan.tiny:
        evaluated += ["--voice", "sam", "--max-seconds", "2"]
    return [
        (
            "text and speech",
            [
                *python,
                "training.prepare",
                str(work),
                "--clips",
                str(plan.clips),
                "--codec-clips",
                str(plan.codec_clips),
            ],
        ),
        ("codec decoder", [*python, "training.codec", str(work), "--steps", str(plan.codec_steps), *narrow]),
        ("codec encoder", [*python, "training.encoder", str(work), "--steps", str(plan.encoder_steps)]),
        ("language model", [*python, *many, "training.language", str(work), "--minutes", str(plan.minutes), *small]),
        ("export", [*python, "training.export", str(work), str(folder)]),
        ("evaluation", [*python, "training.evaluate", str(work), str(folder), *evaluated]),
    ]


def run(work: Path, folder: Path, plan: Plan, echo: bool = True) -> None:
    """Run all stages. Raises CalledProcessError where one fails."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        library_folder()
    except FileNotFoundError:
        print(f"== fetching flite into {install()}", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, command in stages(work, folder, plan):
        if name == "evaluation" and importlib.util.find_spec("pocketsphinx") is None:
            print("== evaluation left out: pip install pocketsphinx", flush=True)
            continue
        if echo:
            print(f"== {name}: {' '.join(command[1:])}", flush=True)
        subprocess.run(command, check=True, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="of language-model training")
    parser.add_argument("--ranks", type=int, default=1, help="processes that train the language model together")
    parser.add_argument("--tiny", action="store_true")
    o = parser.parse_args()
    run(o.work, o.folder, TINY if o.tiny else Plan(minutes=o.minutes, ranks=o.ranks))


if __name__ == "__main__":
    main()
