"""What is read aloud: clauses for training, and sentences that nothing is trained on.

`held_out.txt` holds two hundred sentences and some with names, written for the gates and the evaluation. Together with
the hundred of `training.sentences` they are kept out of all training text."""

from __future__ import annotations

import random
from pathlib import Path

from realtime.text import normalise, to_phonemes
from training.prepare import bare, sentences

HELD_OUT = Path(__file__).with_name("held_out.txt")


def held_out() -> dict[str, list[str]]:
    """The sentences of `held_out.txt` by kind."""
    result: dict[str, list[str]] = {}
    for line in HELD_OUT.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            kind = result.setdefault(line[2:], [])
        elif line:
            kind.append(line)
    return result


def gate_sentences() -> list[str]:
    """Two hundred of every kind but names, in turn, so that the first few are of all kinds too."""
    kinds = [texts for kind, texts in held_out().items() if kind != "names"]
    places = sorted(
        (index / len(texts), number, text) for number, texts in enumerate(kinds) for index, text in enumerate(texts)
    )
    return [text for _, _, text in places]


def clauses(count: int, seed: int) -> list[str]:
    """Distinct clauses to train on, in an order of their own."""
    hidden = {bare(normalise(text)) for texts in held_out().values() for text in texts}
    texts = [text for text in sentences(count + count // 20 + 10, seed) if bare(text) not in hidden][:count]
    random.Random(seed).shuffle(texts)
    return texts


def notations(count: int, seed: int) -> list[str]:
    return [to_phonemes(text) for text in clauses(count, seed)]
