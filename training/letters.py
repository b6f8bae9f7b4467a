"""Learn the front end's letter-to-sound table from its dictionary: `python -m training.letters`.

First each word's letters are aligned with its symbols (each letter sounds like nothing, one or two symbols;
probabilities by three rounds of best paths). Then, for each letter with ever wider surroundings, what it most often
sounds like there is kept wherever it differs from what the narrower surroundings say (an IGTree, Daelemans and van
den Bosch 1997)."""

from __future__ import annotations

import argparse
import lzma
import math
import re
from collections import Counter, defaultdict
from pathlib import Path

import realtime.text as text
from realtime.text.dictionary import entries
from realtime.text.letters import REACH, pad, sound_out, surroundings
from realtime.text.symbols import STRESS

TARGET = Path(text.__file__).parent / "letters.xz"
LONGEST = 2  # symbols of one letter: x is ks
LEAST = 2  # words that must agree before a key is kept
_SYMBOL = re.compile(STRESS + "?.")


def align(word: str, symbols: list[str], cost: dict[tuple[str, str], float], rare: float) -> list[str] | None:
    """Return the cheapest division of `symbols` among the letters, or None where there are too many."""
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for letter in word:
        row: dict[int, tuple[float, int]] = {}
        for start, (spent, _) in best[-1].items():
            for end in range(start, min(len(symbols), start + LONGEST) + 1):
                sound = "".join(symbols[start:end])
                total = spent + cost.get((letter, sound), rare * (1 + end - start))
                if end not in row or total < row[end][0]:
                    row[end] = (total, start)
        best.append(row)
    at = len(symbols)
    if at not in best[-1]:
        return None
    sounds = []
    for row in reversed(best[1:]):
        start = row[at][1]
        sounds.append("".join(symbols[start:at]))
        at = start
    return sounds[::-1]


def first_costs() -> dict[tuple[str, str], float]:
    """Return low costs for letters that look like their sound, so that the first paths go the right way."""
    vowels = "aæ aə aA aɑ eɛ eə ei iɪ iI iə oɑ oO oə uʌ uu uə yi yI"
    alike = vowels + " bb ck cs dd ff gɡ gʤ hh jʤ kk ll mm nn pp qk rɹ rɝ ss tt vv ww xks zz"
    costs = {(pair[0], pair[1:]): 1.0 for pair in alike.split()}
    costs |= {(letter, STRESS + sound): 1.0 for (letter, sound) in list(costs)}
    return costs | {(letter, ""): 2.5 for letter in "abcdefghijklmnopqrstuvwxyz"}


def aligned(words: dict[str, str], rounds: int = 3) -> list[tuple[str, list[str]]]:
    costs, rare = first_costs(), 5.0
    pairs: list[tuple[str, list[str]]] = []
    for _ in range(rounds):
        pairs = [
            (word, sounds)
            for word, symbols in words.items()
            if (sounds := align(word, _SYMBOL.findall(symbols), costs, rare)) is not None
        ]
        counts = Counter((letter, sound) for word, sounds in pairs for letter, sound in zip(word, sounds, strict=True))
        totals = Counter(letter for word, _ in pairs for letter in word)
        costs = {pair: -math.log(count / totals[pair[0]]) for pair, count in counts.items() if count > 1}
        rare = 9.0
    return pairs


def learn(pairs: list[tuple[str, list[str]]]) -> dict[str, str]:
    rules: dict[str, str] = {}
    open_places = [(pad(word), at + REACH, sound) for word, sounds in pairs for at, sound in enumerate(sounds)]
    said = [""] * len(open_places)
    for size in range(2 * REACH + 1):
        groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
        keys = [surroundings(padded, at, size) for padded, at, _ in open_places]
        for key, (_, _, sound) in zip(keys, open_places, strict=True):
            groups[key][sound] += 1
        kept, still = [], []
        for key, place, before in zip(keys, open_places, said, strict=True):
            ranked = groups[key].most_common(2)
            sound, count = ranked[0]
            now = before
            if sound != before and (count >= LEAST or size == 0) and count > groups[key][before]:
                rules[key] = now = sound
            if len(ranked) > 1:  # where all agree there is nothing more to learn
                kept.append(place)
                still.append(now)
        open_places, said = kept, still
    return rules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument(
        "--check", action="store_true", help="learn without each tenth word and print how many of those are right"
    )
    options = parser.parse_args()
    words = {
        word: symbols for word, symbols in entries().items() if word.isalpha() and len(word) > 2 and STRESS in symbols
    }
    tests = list(words)[::10] if options.check else []
    rules = learn(aligned({word: symbols for word, symbols in words.items() if word not in set(tests)}))
    lines = "\n".join(f"{key} {sound}" for key, sound in sorted(rules.items()))
    options.target.write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(rules)} rules, {options.target.stat().st_size} bytes")
    if tests:
        right = sum(sound_out(word) == words[word] for word in tests)
        plain = sum(sound_out(word).replace(STRESS, "") == words[word].replace(STRESS, "") for word in tests)
        print(f"of {len(tests)} unseen words {right / len(tests):.1%} right, {plain / len(tests):.1%} but for stress")


if __name__ == "__main__":
    main()
