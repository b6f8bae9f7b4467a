"""Says numbers as words, in American English without `and`: the form that the checkpoint's training text has."""

from __future__ import annotations

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_LIMIT = 10**15
_IRREGULAR = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def digits(text: str) -> str:
    """Say each digit as a word; other characters are left out."""
    return " ".join(_ONES[int(character)] for character in text if character in "0123456789")


def cardinal(value: int) -> str:
    """Say a whole number: `-42` is "minus forty two". From 10^15 on the digits are read one by one."""
    if value < 0:
        return "minus " + cardinal(-value)
    if value >= _LIMIT:
        return digits(str(value))
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (" " + _ONES[value % 10] if value % 10 else "")
    size, name = next((size, name) for size, name in _SCALES if value >= size)
    rest = value % size
    return f"{cardinal(value // size)} {name}" + (f" {cardinal(rest)}" if rest else "")


def read(text: str) -> str:
    """Say a run of digits that may have a fraction behind a point. "007" and runs of more than 15 are read digit by
    digit.
    """
    whole, point, fraction = text.partition(".")
    if len(whole) > 15 or (len(whole) > 1 and whole[0] == "0"):
        spoken = digits(whole)
    else:
        spoken = cardinal(int(whole)) if whole else "zero"
    return f"{spoken} point {digits(fraction)}" if point and fraction else spoken


def ordinal(value: int) -> str:
    """Say a number as a rank: `21` is "twenty first"."""
    head, space, last = cardinal(value).rpartition(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return head + space + last


def year(value: int) -> str:
    """Say a year: `1987` is "nineteen eighty seven", `2005` "two thousand five", `1900` "nineteen hundred"."""
    century, rest = divmod(value, 100)
    if not 1000 <= value <= 9999 or value % 1000 < 10:
        return cardinal(value)
    if not rest:
        return cardinal(century) + " hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def decade(value: int) -> str:
    """Say a decade: `1990` is "nineteen nineties", `90` "nineties"."""
    head, space, last = year(value).rpartition(" ")
    return head + space + (last[:-1] + "ies" if last.endswith("y") else last + "s")
