"""Numbers in words and digits: read, and written for speech."""

from __future__ import annotations

from fractions import Fraction

MOST = 10**15
"""No number here is larger, read or made."""

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * tens for tens, word in enumerate(_TENS, 2)
} | {"fourty": 40}  # fmt: skip
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_DECIMALS = 4


def read_number(words: list[str], at: int) -> tuple[str, int]:
    """Read the number that begins at a word: its digits, and where it ends. Empty where there is none."""
    if words[at][0].isdigit():
        return _read_digits(words, at)
    total = group = 0
    end, last = at, 0  # `last` is the size of the word before, so that "two three" stays two numbers
    while end < len(words):
        word, seen = words[end], end > at
        if word in ("a", "an") and words[end + 1 : end + 2] in (["hundred"], ["thousand"], ["million"], ["dozen"]):
            if seen:
                break
            group, last = 1, 1
        elif word in _SMALL:
            value = _SMALL[word]
            fits = not seen or last >= 100 or (20 <= last < 100 and 0 < value < 10)
            if not fits:
                break
            group, last = group + value, value or 1
        elif word == "hundred" and seen and 0 < group < 100:
            group, last = group * 100, 100
        elif word == "dozen" and group < 100:
            group, last = (group or 1) * 12, 12
        elif word in _LARGE and seen and group:
            total, group, last = total + group * _LARGE[word], 0, _LARGE[word]
        elif word == "and" and last >= 100 and words[end + 1 : end + 2] and words[end + 1] in _SMALL:
            pass
        else:
            break
        end += 1
    if end == at or total + group >= MOST:
        return "", at
    number = str(total + group)
    decimals, end = _decimals(words, end)
    return number + decimals, end


def _read_digits(words: list[str], at: int) -> tuple[str, int]:
    number, end = words[at], at + 1
    while end < len(words) and words[end] in _LARGE:
        number, end = written(Fraction(number) * _LARGE[words[end]], exact=True), end + 1
    whole, point, _ = number.partition(".")
    if len(whole) > 15 or len(number) > 24:
        return "", at
    if not point:
        decimals, end = _decimals(words, end)
        number += decimals
    whole, point, rest = number.partition(".")
    return (whole.lstrip("0") or "0") + point + rest, end


def _decimals(words: list[str], end: int) -> tuple[str, int]:
    """Read "point five": the digits behind a number, if there are any."""
    if words[end : end + 1] != ["point"]:
        return "", end
    digits, at = "", end + 1
    while at < len(words) and len(digits) < 9 and (words[at].isdecimal() or _SMALL.get(words[at], 10) < 10):
        digits += words[at] if words[at].isdecimal() else str(_SMALL[words[at]])
        at += 1
    return (f".{digits[:9]}", at) if digits else ("", end)


def with_digits(words: list[str]) -> list[str]:
    """Give the words with every number in digits."""
    done: list[str] = []
    at = 0
    while at < len(words):
        number, end = read_number(words, at)
        done.append(number or words[at])
        at = end if number else at + 1
    return done


def is_number(word: str) -> bool:
    """Tell whether a word is a number in digits."""
    return word[:1].isdigit() and word.replace(".", "", 1).isdecimal()


def written(value: Fraction | int, exact: bool = False) -> str:
    """Write a number in digits: with a point where it needs one, rounded to four decimals, grouped from 10,000 on;
    `exact` leaves the grouping out."""
    value = Fraction(value)
    rounded = round(value, _DECIMALS)
    sign, size = ("-" if rounded < 0 else ""), abs(rounded)
    whole, rest = divmod(size, 1)
    text = f"{int(whole):,}" if whole >= 10_000 and not exact else str(int(whole))
    decimals = f"{int(rest * 10**_DECIMALS):0{_DECIMALS}d}".rstrip("0")
    return f"{sign}{text}{'.' if decimals else ''}{decimals}"


def said(value: Fraction | int) -> str:
    """Write a number as it is said: "minus" for its sign, "about" where it was rounded."""
    value = Fraction(value)
    text = written(value).replace("-", "minus ")
    return text if round(value, _DECIMALS) == value else f"about {text}"
