"""Keep what is small and was learned from the teacher beside the code, so that nobody has to learn it again.

    python -m training.voice.state WORK --corpus "45 minutes of speech"

The gate must have been passed. Leaves `training/state/`: the shortcut and the quantizer as safetensors, and
`manifest.json`, which says of each its hash, the command that made it and what it was made from. `take` brings them
back into an empty WORK, so the recipe goes on with the corpus."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from training.voice import gate

STATE = Path(__file__).parents[1] / "state"
MADE_BY = {
    "shortcut": "python -m training.voice.shortcut WORK",
    "quantizer": "python -m training.voice.quantizer WORK",
}
NAMES = "speakers"
"""Of the arrays that `shortcut.npz` holds the one that is text; safetensors knows only numbers."""


def keep(work: Path, corpus: str, state: Path = STATE) -> None:
    """Write what WORK learned into `state`. `corpus` says from what speech.

    Raises FileNotFoundError where the gate has not been tried, ValueError where it did not hold."""
    found = json.loads((work / "gate.json").read_text(encoding="utf-8"))
    gate.hold(found)
    state.mkdir(parents=True, exist_ok=True)
    parts = {}
    for name, command in MADE_BY.items():
        held = dict(np.load(work / f"{name}.npz"))
        names = [str(speaker) for speaker in held.pop(NAMES, [])]
        file = state / f"{name}.safetensors"
        save_file({key: np.ascontiguousarray(value) for key, value in held.items()}, file)
        file.chmod(0o644)
        parts[name] = {"sha256": _hash(file), "command": command, "corpus": corpus, NAMES: names}
    manifest = json.dumps({"parts": parts, "gate": found}, indent=1)
    (state / "manifest.json").write_text(manifest + "\n", encoding="utf-8")


def take(work: Path, state: Path = STATE) -> None:
    """Bring into WORK what `state` holds and WORK does not. Nothing where there is no `state`.

    Raises ValueError for a file that is not the one of the manifest."""
    if not (state / "manifest.json").exists():
        return
    for name, part in json.loads((state / "manifest.json").read_text(encoding="utf-8"))["parts"].items():
        file, target = state / f"{name}.safetensors", work / f"{name}.npz"
        if target.exists():
            continue
        if (found := _hash(file)) != part["sha256"]:
            raise ValueError(f"{file} is not the one of its manifest: sha256 {found} for {part['sha256']}")
        arrays: dict[str, Any] = dict(load_file(file))
        if part[NAMES]:
            arrays[NAMES] = np.array(part[NAMES])
        np.savez(target, **arrays)


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--corpus", required=True, help="what speech it was learned from")
    o = parser.parse_args()
    keep(o.work, o.corpus)


if __name__ == "__main__":
    main()
