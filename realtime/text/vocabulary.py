"""Holds the tables of the normaliser: how abbreviations, units, signs and foreign letters are read."""

from __future__ import annotations

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SHORT_MONTHS = {name[:3]: name for name in MONTHS} | {"Sept": "September"}
SHORT_DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Thur": "Thursday",
    "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip

ABBREVIATIONS = {
    "Mr": "mister", "Mrs": "missus", "Ms": "miz", "Prof": "professor", "Jr": "junior", "Sr": "senior", "vs": "versus",
    "etc": "et cetera", "e.g": "for example", "i.e": "that is", "approx": "approximately", "dept": "department",
    "Dept": "department", "est": "established", "Inc": "incorporated", "Ltd": "limited", "Corp": "corporation",
    "Ave": "avenue", "Blvd": "boulevard", "Rd": "road", "Gen": "general", "Col": "colonel", "Sgt": "sergeant",
    "Capt": "captain", "Lt": "lieutenant", "Sen": "senator", "Gov": "governor", "Hon": "honorable", "Rev": "reverend",
    "misc": "miscellaneous", "max": "maximum", "min": "minimum", "tel": "telephone", "Tel": "telephone",
    "Ph.D": "p h d", "a.k.a": "also known as", "cf": "compare",
}  # fmt: skip
"""Abbreviations that are written with a point behind, and what they are read as."""

BEFORE_NUMBER = {"No": "number", "no": "number", "Fig": "figure", "fig": "figure", "p": "page", "pp": "pages",
                 "Vol": "volume", "vol": "volume", "Ch": "chapter", "ch": "chapter", "Sec": "section"}  # fmt: skip

UNITS = {
    "km/h": "kilometers per hour", "kmh": "kilometers per hour", "kph": "kilometers per hour",
    "m/s": "meters per second", "mph": "miles per hour", "km": "kilometer", "cm": "centimeter", "mm": "millimeter",
    "nm": "nanometer", "µm": "micrometer", "m": "meter", "mi": "mile", "ft": "foot", "yd": "yard", "kg": "kilogram",
    "mg": "milligram", "g": "gram", "lb": "pound", "lbs": "pound", "oz": "ounce", "ml": "milliliter",
    "mL": "milliliter",
    "l": "liter", "L": "liter", "gal": "gallon", "ms": "millisecond", "ns": "nanosecond", "sec": "second",
    "s": "second", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "GHz": "gigahertz",
    "MHz": "megahertz", "kHz": "kilohertz", "Hz": "hertz", "TB": "terabyte", "GB": "gigabyte", "MB": "megabyte",
    "KB": "kilobyte", "kB": "kilobyte", "Mbps": "megabits per second", "Gbps": "gigabits per second", "kW": "kilowatt",
    "MW": "megawatt", "GW": "gigawatt", "kWh": "kilowatt hour", "W": "watt", "V": "volt", "mAh": "milliamp hour",
    "mA": "milliamp", "dB": "decibel", "Pa": "pascal", "kPa": "kilopascal", "hPa": "hectopascal", "kcal": "kilocalorie",
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "°": "degree", "%": "percent", "‰": "per mille", "px": "pixel",
    "rpm": "revolutions per minute", "bpm": "beats per minute", "dpi": "dots per inch", "fps": "frames per second",
}  # fmt: skip
"""Units and what they are read as, in the singular; `plural` gives the plural."""

_SAME = frozenset(["hertz", "gigahertz", "megahertz", "kilohertz", "percent", "mille"])


def plural(unit: str) -> str:
    """Return the plural of a unit: `degree Celsius` becomes `degrees Celsius`.

    Units that are per something, or that name no things to count (`percent`), stay as they are.
    """
    head, space, tail = unit.partition(" ")
    if head in _SAME or head.endswith("s") or head == "per":
        return unit
    if unit == "foot":
        return "feet"
    if tail == "hour":
        return unit + "s"
    return head + "s" + space + tail


CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"), "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"), "₩": ("won", "won", "jeon", "jeon"),
    "₽": ("ruble", "rubles", "kopek", "kopeks"), "₿": ("bitcoin", "bitcoins", "", ""),
}  # fmt: skip

SIGNS = {
    "&": "and", "+": "plus", "=": "equals", "@": "at", "#": "hash", "*": "asterisk", "/": "slash", "\\": "backslash",
    "%": "percent", "^": "caret", "_": "underscore", "~": "about", "<": "less than", ">": "greater than",
    "|": "bar", "$": "dollars", "€": "euros", "£": "pounds", "¥": "yen", "₹": "rupees", "©": "copyright",
    "®": "registered", "™": "trademark",
    "°": "degrees", "±": "plus or minus", "×": "times", "÷": "divided by",
    "−": "minus", "≈": "about", "≠": "does not equal", "≤": "at most", "≥": "at least", "→": "to", "←": "from",
    "⇒": "implies", "∞": "infinity", "√": "square root of", "π": "pi", "µ": "micro", "§": "section", "¶": "paragraph",
    "²": "squared", "³": "cubed", "№": "number", "∑": "sum", "•": ",", "·": ",", "`": "",
}  # fmt: skip

FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8"}

GREEK = dict(
    zip("αβγδεζηθικλμνξοπρσςτυφχψω", ("a v g d e z i th i k l m n x o p r s s t i f h ps o").split(), strict=True)
)
CYRILLIC = dict(
    zip(
        "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґў",
        ("a b v g d e zh z i y k l m n o p r s t u f kh ts ch sh shch - y - e yu ya yo i yi ye g w").split(),
        strict=True,
    )
)
LATIN = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "th", "þ": "th", "ł": "l", "ı": "i", "ə": "a"}
