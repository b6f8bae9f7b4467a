"""Units: how much of one is how much of another."""

from __future__ import annotations

import re
from fractions import Fraction

from realtime.agent.rules.numbers import is_number, said, with_digits
from realtime.agent.rules.question import Question

_TABLE = """
length mm,millimetre,millimeter 1/1000
length cm,centimetre,centimeter 1/100
length m,metre,meter 1
length km,kilometre,kilometer 1000
length inch,inches 254/10000
length foot,feet,ft 3048/10000
length yard 9144/10000
length mile 1609344/1000
weight mg,milligram 1/1000
weight g,gram,gramme 1
weight kg,kilo,kilogram,kilogramme 1000
weight tonne,ton 1000000
weight ounce,oz 28349523125/1000000000
weight pound,lb,lbs 45359237/100000
weight stone 635029318/100000
volume ml,millilitre,milliliter 1/1000
volume cl,centilitre,centiliter 1/100
volume l,litre,liter 1
volume teaspoon 492892159375/100000000000000
volume tablespoon 1478676478125/100000000000000
volume cup 2365882365/10000000000
volume pint 473176473/1000000000
volume quart 946352946/1000000000
volume gallon 3785411784/1000000000
time millisecond 1/1000
time second 1
time minute 60
time hour 3600
time day 86400
time week 604800
time fortnight 1209600
"""
_SHORT = {"mm", "cm", "m", "km", "ft", "mg", "g", "kg", "oz", "lb", "lbs", "ml", "cl", "l"}
_IRREGULAR = {"inch": "inches", "foot": "feet", "stone": "stone"}


def _units() -> dict[str, tuple[str, str, Fraction]]:
    """Make the table: from every way to write a unit to its kind, its name and its size."""
    units: dict[str, tuple[str, str, Fraction]] = {}
    for line in _TABLE.strip().splitlines():
        kind, names, size = line.split()
        ways = names.split(",")
        name = next(way for way in ways if way not in _SHORT)
        for way in ways:
            units[way] = units[f"{way}s"] = (kind, name, Fraction(size))
    return units


_UNITS = _units()
_DEGREES = {
    "c": "Celsius", "celsius": "Celsius", "centigrade": "Celsius", "f": "Fahrenheit", "fahrenheit": "Fahrenheit",
    "kelvin": "kelvin", "k": "kelvin",
}  # fmt: skip
_HOW_MANY = re.compile(
    r"^how (?:many|much) (\w+) (?:are there |are |is |is there |does |do |make |makes |go )*"
    r"(?:in|into|to|make|makes) (.+)$"
)
_TO = re.compile(r"^(?:convert|change|turn|what is|what are|how \w+ (?:is|are))? ?(.+?) (?:to|in|into|as) (\w+)$")
_LENGTHS = {
    ("days", "year"): "There are 365 days in a year, and 366 in a leap year.",
    ("weeks", "year"): "There are 52 weeks in a year, and a day or two.",
    ("months", "year"): "There are 12 months in a year.",
    ("hours", "year"): "There are 8,760 hours in a year, and 24 more in a leap year.",
    ("days", "month"): "A month has 30 or 31 days, but February has 28, or 29 in a leap year.",
    ("weeks", "month"): "A month has a little more than 4 weeks.",
    ("years", "decade"): "There are 10 years in a decade.",
    ("years", "century"): "There are 100 years in a century.",
    ("years", "millennium"): "There are 1,000 years in a millennium.",
    ("seasons", "year"): "There are 4 seasons in a year.",
    ("things", "dozen"): "A dozen is 12.",
    ("days", "weekend"): "There are 2 days in a weekend.",
}


def unit_answer(question: Question) -> str | None:
    """Convert a length, a weight, a volume, a time or a temperature."""
    line = " ".join(word for word in question.asked.split() if word not in ("degrees", "degree"))
    if found := _HOW_MANY.match(line):
        wanted, given = found[1], found[2]
    elif found := _TO.match(line):
        given, wanted = found[1], found[2]
    else:
        return None
    whole = given.removeprefix("a ").removeprefix("one ").removeprefix("an ")
    if sentence := _LENGTHS.get((wanted, whole)):
        return sentence
    amount, name = _amount(given)
    if amount is None:
        return None
    if name in _DEGREES and wanted in _DEGREES:
        return _degrees(amount, _DEGREES[name], _DEGREES[wanted])
    if name not in _UNITS or wanted not in _UNITS:
        return None
    (kind, unit, size), (other_kind, other, other_size) = _UNITS[name], _UNITS[wanted]
    if kind != other_kind:
        return f"{_plural(unit, 2).capitalize()} measure {kind} and {_plural(other, 2)} measure {other_kind}."
    result = amount * size / other_size
    verb = "is" if amount == 1 else "are"
    return f"{said(amount)} {_plural(unit, amount)} {verb} {said(result)} {_plural(other, result)}."


def _amount(given: str) -> tuple[Fraction | None, str]:
    """Read "5 miles", "a mile" or "half a mile": how many, and of what."""
    words = given.split()
    half = words[:2] in (["half", "a"], ["half", "an"])
    words = words[1:] if half else words
    if len(words) == 2 and words[0] in ("a", "an", "one"):
        return Fraction(1, 2) if half else Fraction(1), words[1]
    words = with_digits(words)
    sign = -1 if words[:1] in (["minus"], ["-"]) else 1
    words = words[1:] if sign < 0 else words
    if len(words) == 2 and is_number(words[0]) and len(words[0]) <= 24:
        return sign * Fraction(words[0]), words[1]
    return None, ""


def _degrees(amount: Fraction, unit: str, wanted: str) -> str:
    kelvin = {
        "Celsius": amount + Fraction("273.15"),
        "Fahrenheit": (amount + Fraction("459.67")) * 5 / 9,
        "kelvin": amount,
    }[unit]
    result = {
        "Celsius": kelvin - Fraction("273.15"),
        "Fahrenheit": kelvin * 9 / 5 - Fraction("459.67"),
        "kelvin": kelvin,
    }[wanted]
    return f"{_of_degrees(amount, unit)} is {_of_degrees(round(result, 2), wanted)}."


def _of_degrees(amount: Fraction, unit: str) -> str:
    return f"{said(amount)} {unit}" if unit == "kelvin" else f"{said(amount)} degrees {unit}"


def _plural(name: str, amount: Fraction | int) -> str:
    return name if amount == 1 else _IRREGULAR.get(name, f"{name}s")
