"""Chooses what is read aloud: clauses for training, and sentences that nothing is trained on.

`held_out.txt` holds two hundred sentences and some with names, written for the gates and the evaluation. Together with
the hundred of `training.sentences` they are kept out of all training text.
"""

from __future__ import annotations

import random
from pathlib import Path

from realtime.text import normalise, to_phonemes
from training.prepare import bare, sentences
from training.sentences import LISTS

JOINED = (0.72, 0.2, 0.08)
"""The shares of texts of one, two and three clauses. Three clauses last nine seconds and more."""
LINKS = (", and ", ", but ", ", so ", ", or ", ", because ", ", ")
NAMES = frozenset(word for entry in LISTS["person"].split("|") + LISTS["place"].split("|") for word in entry.split())

HELD_OUT = Path(__file__).with_name("held_out.txt")


def held_out() -> dict[str, list[str]]:
    """Return the sentences of `held_out.txt` by kind."""
    result: dict[str, list[str]] = {}
    for line in HELD_OUT.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            kind = result.setdefault(line[2:], [])
        elif line:
            kind.append(line)
    return result


def gate_sentences() -> list[str]:
    """Return the two hundred sentences that are not of names, by turns of each kind, so that the first few have all."""
    kinds = [texts for kind, texts in held_out().items() if kind != "names"]
    places = sorted(
        (index / len(texts), number, text) for number, texts in enumerate(kinds) for index, text in enumerate(texts)
    )
    return [text for _, _, text in places]


def clauses(count: int, seed: int) -> list[str]:
    """Return distinct texts to train on, in a random order: most of one clause, some of two or three in one breath."""
    hidden = {bare(normalise(text)) for texts in held_out().values() for text in texts}
    draw = random.Random(seed)
    sizes = draw.choices(range(1, len(JOINED) + 1), JOINED, k=count)
    texts = [text for text in sentences(sum(sizes) + sum(sizes) // 20 + 10, seed) if bare(text) not in hidden]
    draw.shuffle(texts)
    return [_joined([texts.pop() for _ in range(size)], draw) for size in sizes]


def _joined(parts: list[str], draw: random.Random) -> str:
    """Put sentences one after the other, or join them to one with pauses."""
    result = parts[0]
    for part in parts[1:]:
        word = part.split()[0]
        if result[-1] == "." and part[-1] == "." and draw.random() < 0.6:
            kept = word == "I" or word.startswith("I'") or word in NAMES
            result = result[:-1] + draw.choice(LINKS) + (part if kept else part[0].lower() + part[1:])
        else:
            result += " " + part
    return result


def notations(count: int, seed: int) -> list[str]:
    return [to_phonemes(text) for text in clauses(count, seed)]
