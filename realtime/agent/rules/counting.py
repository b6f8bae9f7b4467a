"""Numbers without a sum: counting, comparing, what kind of number one is, and chance."""

from __future__ import annotations

import re
from fractions import Fraction

from realtime.agent.rules.numbers import MOST, said
from realtime.agent.rules.question import Question

_N = r"(\d{1,15}(?:\.\d+)?)"
_COUNT = re.compile(
    r"\bcount (?:(?:up |down )?from (\d{1,15}) )?(?:up |down )?(?:back )?(?:to|till|until) (\d{1,15})\b"
)
_COUNT_DOWN = re.compile(r"\bcount (?:down|back|backwards?) from (\d{1,15})(?: to (\d{1,15}))?\b")
_NEXT = re.compile(rf"\bwhat (?:number )?(?:comes|is) (?:right )?(after|before) {_N}$")
_EVEN = re.compile(rf"\bis {_N} (?:an )?(even|odd)\b")
_PRIME = re.compile(rf"\bis {_N} (?:a )?prime\b")
_SIZE = "(bigger|larger|greater|more|smaller|less)"
_LARGER = re.compile(rf"\b{_SIZE}\b\D*? {_N} (?:or|and) {_N}|\bis {_N} {_SIZE} than {_N}")
_BETWEEN = re.compile(r"\bnumber\b.*\bbetween (\d{1,9}) and (\d{1,9})\b|\bnumber\b.*\bfrom (\d{1,9}) to (\d{1,9})\b")
_MOST_COUNTED = 30
_PRIME_BOUND = 100_000


def counting_answer(question: Question) -> str | None:
    """Count, compare, or leave it to chance."""
    line = question.counted
    if found := _COUNT_DOWN.search(line):
        return _counted(int(found[1]), int(found[2] or 0))
    if found := _COUNT.search(line):
        return _counted(int(found[1] or 1), int(found[2]))
    if found := _NEXT.search(line):
        value = Fraction(found[2]) + (1 if found[1] == "after" else -1)
        return f"{said(value)} comes {found[1]} {said(Fraction(found[2]))}."
    if found := _EVEN.search(line):
        return _even(Fraction(found[1]), found[2])
    if found := _PRIME.search(line):
        return _prime(Fraction(found[1]))
    if found := _LARGER.search(line):
        return _compared(found)
    return _chance(question, line)


def _counted(first: int, last: int) -> str:
    if abs(last - first) >= _MOST_COUNTED:
        return f"That is a long way. I count at most {_MOST_COUNTED} numbers at a time."
    step = 1 if last >= first else -1
    return f"{', '.join(map(str, range(first, last + step, step)))}."


def _even(value: Fraction, asked: str) -> str:
    if value.denominator != 1:
        return "Only whole numbers are even or odd."
    kind = "odd" if value % 2 else "even"
    return f"{'Yes' if kind == asked else 'No'}, {said(value)} is {kind}."


def _prime(value: Fraction) -> str | None:
    if value.denominator != 1 or value > _PRIME_BOUND:
        return f"I only look for primes among whole numbers up to {_PRIME_BOUND:,}."
    number = int(value)
    divisor = next((d for d in range(2, int(number**0.5) + 1) if number % d == 0), None)
    if number < 2 or divisor is not None:
        because = "" if divisor is None else f": it is {divisor} times {number // divisor}"
        return f"No, {said(number)} is not a prime number{because}."
    return f"Yes, {said(number)} is a prime number."


def _compared(found: re.Match[str]) -> str:
    word = found[1] or found[5]
    one, other = Fraction(found[2] or found[4]), Fraction(found[3] or found[6])
    if max(one, other) >= MOST:
        return "Those numbers are too large for me."
    if one == other:
        return "They are the same."
    smaller = word in ("smaller", "less")
    winner = min(one, other) if smaller else max(one, other)
    sentence = f"{said(winner)} is {'smaller' if smaller else 'larger'}."
    return sentence if found[1] else f"{'Yes' if winner == one else 'No'}, {sentence}"


def _chance(question: Question, line: str) -> str | None:
    """Draw from the clock: a turn ends at no particular microsecond."""
    drawn = question.now.microsecond
    if re.search(r"\b(?:flip|toss)\b.*\bcoin\b|\bheads or tails\b", line):
        return "Heads." if drawn % 2 else "Tails."
    if re.search(r"\b(?:roll|throw)\b.*\b(?:dice|die)\b", line):
        return f"A {drawn % 6 + 1}."
    if found := _BETWEEN.search(line):
        low, high = sorted((int(found[1] or found[3]), int(found[2] or found[4])))
        return f"{low + drawn % (high - low + 1)}."
    if re.search(r"\b(?:random|pick a|think of a|give me a) number\b", line):
        return f"{drawn % 100 + 1}."
    return None
