"""Turns written English into spoken English: numbers, dates, times, money, units, abbreviations, addresses become
words.

`normalise` promises, for any string:
- it returns and never raises; running it on its own result changes nothing that is spoken;
- `[SPEAKERn]` tags stay as they are, and so do words, letters of other scripts, line breaks and punctuation;
- nothing else is dropped silently but what has no sound: control and format characters, emoji and pictographs, and
  the marks of form that `markup` knows (`<speak>`, `**`, `#` at the head of a line, terminal escape codes).

The rules run in order, and each leaves only words behind, so a later rule never sees what an earlier one has read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from realtime.text import vocabulary as known
from realtime.text.markup import without_markdown, without_tags
from realtime.text.numbers import cardinal, decade, digits, ordinal, read, year

TAG = re.compile(r"(\[SPEAKER\d{1,2}\])")

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_MONTH = "|".join([*known.MONTHS, *(f"{short}\\.?(?![a-z])" for short in known.SHORT_MONTHS)])
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_EDGE = r"(?<![\w.,])"
_SYMBOLS = re.compile(r"[\U0001F000-\U0001FAFF\u2600-\u27BF\u2B00-\u2BFF\u20E3\uFE0E\uFE0F\U000E0000-\U000E0FFF]")
_PLAIN = {
    ord("’"): "'", ord("‘"): "'", ord("ʼ"): "'", ord("“"): '"', ord("”"): '"', ord("„"): '"', ord("«"): '"',
    ord("»"): '"', ord("…"): "...", ord("μ"): "µ", ord("\u2011"): "-", ord("\u2010"): "-", ord("\u2212"): "-",
    ord("\u2044"): "/", ord("\t"): " ", ord("\r"): " ", ord("\u2028"): "\n", ord("\u2029"): "\n", ord("\x85"): "\n",
    ord("：") : ":",
} | {ord(sign): f" {fraction} " for sign, fraction in known.FRACTIONS.items()} | {
    code: chr(code - 0xFEE0) for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()
}  # fmt: skip


def normalise(text: str) -> str:
    """Return the spoken form of `text`; the module says what is promised."""
    return "".join(part if TAG.fullmatch(part) else _spoken(part) for part in TAG.split(text))


def _spoken(text: str) -> str:
    text = without_markdown(_clean(without_tags(text).translate(_PLAIN)))
    for pattern, form in _RULES:
        text = pattern.sub(form, text)
    return re.sub(r"[ \xa0]{2,}", " ", text)


def _clean(text: str) -> str:
    """Remove characters that have no sound, and make every other space a plain one."""
    if text.isascii() and text.isprintable():
        return text
    text = _SYMBOLS.sub(" ", text)
    return "".join(map(_sounding, text))


def _sounding(character: str) -> str:
    if character == "\n" or "\x20" <= character < "\x7f":
        return character
    category = unicodedata.category(character)
    if category in ("Cf", "Cs", "Co", "Cn"):
        return ""
    if category in ("Zs", "Zl", "Zp", "Cc"):
        return " "
    if (
        category in ("Nd", "No", "Nl")
        and (value := unicodedata.numeric(character, -1.0)) >= 0
        and character not in "²³"
    ):
        return str(int(value)) if value == int(value) else character
    return character


def _int(text: str) -> int:
    return int(text.replace(",", ""))


def _read(text: str) -> str:
    return read(text.replace(",", ""))


def _month(name: str) -> str:
    return known.SHORT_MONTHS.get(name.rstrip("."), name)


def _address(match: re.Match[str]) -> str:
    """Read a URL or an e-mail address sign by sign, and its digits one by one."""
    body = match.group()
    tail = re.search(r"[.,!?;:)'\"\]]+$", body)
    end = tail.group() if tail else ""
    body = body[: len(body) - len(end)]
    names = {".": "dot", ":": "colon", "-": "dash", "?": "question mark", ",": "comma", "!": "exclamation mark"}
    pieces = re.findall(r"[^\W\d_]+|\d+|.", body, re.DOTALL)
    spoken = [
        digits(piece) if piece[0].isdecimal() else names.get(piece, known.SIGNS.get(piece, piece)) for piece in pieces
    ]
    return " ".join(" ".join(spoken).split()).replace("slash slash", "slash slash ").rstrip() + end


def _money(match: re.Match[str]) -> str:
    sign = match["sign"] or match["behind"]
    number = match["number"] or match["amount"]
    scale = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "b": "billion", "B": "billion",
             "bn": "billion", "tn": "trillion"}.get(match["scale"] or "", match["scale"])  # fmt: skip
    one, many, cent, cents = known.CURRENCIES[sign]
    minus = "minus " if match["minus"] else ""
    if match["high"]:
        return f"{_read(number)} to {_read(match['high'])} {scale + ' ' if scale else ''}{many}"
    if scale:
        return f"{minus}{_read(number)} {scale} {many}"
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(fraction) != 2 or not cents:
        return f"{minus}{_read(number)} {one if number == '1' else many}"
    parts = []
    if not whole or int(whole) or not int(fraction):
        parts.append(f"{read(whole or '0')} {one if whole == '1' else many}")
    if int(fraction):
        parts.append(f"{cardinal(int(fraction))} {cent if int(fraction) == 1 else cents}")
    if not whole:
        parts = parts[1:] or parts
    return minus + " and ".join(parts)


def _clock(match: re.Match[str]) -> str:
    hour, minute, second, half = int(match["hour"]), int(match["minute"]), match["second"], match["half"]
    if hour > 24 or minute > 59:
        return f"{read(match['hour'])} to {read(match['minute'])}" if not second else digits(match.group())
    if second and not float(second):
        second = None  # on the minute
    spoken = cardinal(hour)
    if minute:
        spoken += (" oh " if minute < 10 else " ") + cardinal(minute)
    elif not half:
        spoken += " o'clock" if 0 < hour <= 12 else " hundred"
    if second:
        spoken += f" and {read(second.lstrip('0') or '0')} second{'' if second == '01' else 's'}"
    return spoken + _half(half)


def _timestamp(match: re.Match[str]) -> str:
    """Write "2026-11-28T10:00Z" as a date, a time and a zone, which later rules read."""
    date, between, clock, sign, hours, minutes = match.groups()
    zone = " UTC" if match.group().endswith("Z") else ""
    if sign:
        zone = f", UTC {'plus' if sign == '+' else 'minus'} {cardinal(int(hours))}"
        zone += f" {cardinal(int(minutes))}" if int(minutes) else ""
    return f"{date}{' at ' if between == 'T' else ' '}{clock}{zone}"


def _half(half: str | None) -> str:
    return f" {half[0].upper()} M" if half else ""


def _day(match: re.Match[str]) -> str:
    """Read "March 3rd, 1987" and "Mar. 3"."""
    spoken = f"{_month(match['month'])} {ordinal(int(match['day']))}"
    return f"{spoken}, {year(int(match['year']))}" if match["year"] else spoken


def _day_first(match: re.Match[str]) -> str:
    spoken = f"{ordinal(int(match['day']))} of {_month(match['month'])}"
    return f"{spoken}, {year(int(match['year']))}" if match["year"] else spoken


def _date(years: str, months: str, days: str, whole: str) -> str:
    if not (1 <= int(months) <= 12 and 1 <= int(days) <= 31):
        return " ".join(read(part) for part in re.findall(r"\d+", whole))
    return f"{known.MONTHS[int(months) - 1]} {ordinal(int(days))}, {year(int(years))}"


def _unit(match: re.Match[str]) -> str:
    number, unit = match["number"], known.UNITS[match["unit"]]
    power = {"²": "square ", "2": "square ", "³": "cubic ", "3": "cubic "}.get(match["power"] or "", "")
    low = f"{_read(match['low'])} to " if match["low"] else ""
    return f"{low}{_read(number)} {power}{unit if number == '1' else known.plural(unit)}"


def _measured_range(match: re.Match[str]) -> str:
    """Read "10%-20%"."""
    return f"{_read(match['low'])} to {_read(match['number'])} {known.plural(known.UNITS[match['unit']])}"


def _power(match: re.Match[str]) -> str:
    """Read "3.0e-5"."""
    sign = "minus " if match[2] == "-" else ""
    return f"{read(match[1])} times ten to the {sign}{read(match[3])}"


def _fraction(match: re.Match[str]) -> str:
    over, under = int(match["over"]), int(match["under"])
    whole = f"{cardinal(int(match['whole']))} and " if match["whole"] else ""
    if not 2 <= under <= 100 or over >= under:
        return (
            f"{cardinal(int(match['whole']))} " if match["whole"] else ""
        ) + f"{cardinal(over)} slash {cardinal(under)}"
    part = {2: "half", 4: "quarter"}.get(under) or ordinal(under)
    if over == 1:
        return f"{whole}{'a' if whole and under in (2, 4) else 'one'} {part}"
    return f"{whole}{cardinal(over)} {'halves' if under == 2 else part + 's'}"


def _range(match: re.Match[str]) -> str:
    return f"{_plain(match['low'])} to {_plain(match['high'])}"


def _plain(number: str) -> str:
    """Read a number that stands alone: four digits from 1100 to 2099 as a year."""
    if len(number) == 4 and number.isdecimal() and (1100 <= int(number) < 2100):
        return year(int(number))
    return _read(number)


def _group(match: re.Match[str]) -> str:
    """Read a telephone number: its groups digit by digit, with a pause between them."""
    plus = "plus " if match.group().startswith("+") else ""
    return plus + ", ".join(digits(part) for part in re.findall(r"\d+", match.group()))


def _card(match: re.Match[str]) -> str:
    """Read the number of a card: its groups digit by digit, with a pause between them."""
    groups = re.findall(r"\d+", match.group())
    if len(groups) == 1:
        groups = re.findall(r"\d{4}", groups[0])
    return ", ".join(map(digits, groups))


_ROMAN = {"II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "X": 10, "XI": 11, "XII": 12,
          "XIII": 13, "XIV": 14, "XV": 15, "XVI": 16, "XX": 20, "XXI": 21}  # fmt: skip


def _roman(match: re.Match[str]) -> str:
    value, title = _ROMAN[match["numeral"]], match["title"]
    if match["kind"]:
        return f"{match['kind']} {cardinal(value)}"
    return f"{title} the {ordinal(value)}"


def _abbreviation(match: re.Match[str]) -> str:
    word, rest = match["word"], match.string[match.end() :]
    ends = (
        re.match(r"\s*$|\s+[A-Z]", rest)
        if word in ("etc", "Jr", "Sr", "Inc", "Ltd", "Corp", "Ave", "Blvd", "Rd")
        else None
    )
    return known.ABBREVIATIONS[word] + ("." if ends or not rest.strip() else "")


def _saint(match: re.Match[str]) -> str:
    word, name = match["word"], re.match(r"\s+[A-Z][a-z]", match.string[match.end() :])
    front, back = {"St": ("saint", "street"), "Dr": ("doctor", "drive")}[word]
    behind_name = re.search(r"[A-Z][a-z]+\s$", match.string[max(0, match.start() - 40) : match.start()])
    if name and not (behind_name and word == "Dr"):
        return front
    return back + ("" if match.string[match.end() :].strip()[:1].islower() else ".")


def _rules() -> list[_Rule]:
    def rule(pattern: str, form: Callable[[re.Match[str]], str], flags: int = 0) -> _Rule:
        return re.compile(pattern, flags), form

    units = "|".join(sorted(map(re.escape, known.UNITS), key=len, reverse=True))
    signs = "".join(map(re.escape, known.CURRENCIES))
    abbreviations = "|".join(sorted(map(re.escape, known.ABBREVIATIONS), key=len, reverse=True))
    numbered = "|".join(known.BEFORE_NUMBER)
    romans = "|".join(sorted(_ROMAN, key=len, reverse=True))
    other = "".join(map(re.escape, known.SIGNS))
    scale = r"(?P<scale>trillion|billion|million|thousand|bn|tn|[kKmMbB])\b"
    return [
        # addresses
        rule(
            r"(?<!\w)[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+|\b(?:https?|ftp)://[^\s<>]{1,500}|\bwww\.[^\s<>]{1,500}"
            r"|(?<![\w.@])(?:[a-zA-Z0-9-]{1,63}\.){1,4}(?:com|org|net|edu|gov|io|dev|ai|co\.uk|de|fr)(?:/[^\s<>]{0,300})?(?![\w.]\w)",
            _address,
        ),
        # money
        rule(
            rf"(?P<minus>(?<!\w)-)?(?:(?P<sign>[{signs}])[ ]?(?P<number>{_NUMBER})"
            rf"(?:[-–](?:(?P=sign)[ ]?)?(?P<high>{_NUMBER}))?"
            rf"|(?<![\w.,])(?P<amount>{_NUMBER})[ ]?"
            rf"(?P<behind>[{signs}]))(?!\d)(?:[ ]?{scale})?",
            _money,
        ),
        # dates
        rule(
            r"\b(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?:Z|([+-])(\d\d):?(\d\d))?(?![\w:])",
            _timestamp,
        ),
        rule(r"\b(\d{4})-(\d\d)-(\d\d)(?!\d)", lambda m: _date(m[1], m[2], m[3], m[0])),
        rule(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4})(?![\d/])", lambda m: _date(m[3], m[1], m[2], m[0])),
        rule(r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\d])", lambda m: _date(m[3], m[2], m[1], m[0])),
        rule(
            rf"\b(?P<month>{_MONTH})[ ](?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,?[ ](?P<year>\d{{4}}))?(?![\d:]|[.,]\d)",
            _day,
        ),
        rule(
            rf"(?<![\w.,])(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[ ](?:of[ ])?(?P<month>{_MONTH})"
            r"(?:,?[ ](?P<year>\d{4}))?(?!\w)",
            _day_first,
        ),
        rule(rf"\b({_MONTH})[ ](\d{{4}})(?!\w)", lambda m: f"{_month(m[1])} {year(int(m[2]))}"),
        rule(rf"\b({'|'.join(known.SHORT_DAYS)})(?:\.|(?=,[ ](?:{_MONTH})))", lambda m: known.SHORT_DAYS[m[1]]),
        # times
        rule(r"(?<=\d:\d\d)[ ]?[-–][ ]?(?=\d{1,2}:\d\d(?![\d:]))", lambda m: " to "),
        rule(
            r"(?<![\d:.,])(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d(?:\.\d{1,9})?))?"
            r"(?:[ ]?(?P<half>[aApP]\.?[mM]\b)\.?)?(?![\d:])",
            _clock,
        ),
        rule(r"(?<![\d:.,])(\d{1,2})[ ]?([ap]\.m\.|[AaPp][mM]\b)", lambda m: cardinal(int(m[1])) + _half(m[2])),
        rule(r"\b([ap])\.m\.(?=\W|$)", lambda m: f"{m[1].upper()} M"),
        # numbers of cards: fours, and American Express's
        rule(
            r"(?<![\w.,-])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{5}|\d{16})"
            r"(?![\w-]|[.,]\d)",
            _card,
        ),
        # telephone numbers
        rule(
            r"(?<![\w.,/])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}"
            r"|(?:\+?\d[ -])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|\d{3}[- ]\d{4})"
            r"(?![\w/]|[.,]\d)",
            _group,
        ),
        # words that stand for more
        rule(rf"\b({numbered})\.[ ]?(?=\d)", lambda m: known.BEFORE_NUMBER[m[1]] + " "),
        rule(r"#[ ]?(?=\d)", lambda m: "number "),
        rule(r"\b([A-Z]{1,2})&([A-Z])\b", lambda m: f"{' '.join(m[1])} and {m[2]}"),
        rule(rf"(?<![\w.])(?P<word>{abbreviations})\.(?!\w)", _abbreviation),
        rule(r"(?<![\w.])(?P<word>St|Dr)\.(?!\w)", _saint),
        rule(r"\b(vs|approx)\b", lambda m: known.ABBREVIATIONS[m[1]]),
        rule(r"(?<![\w.])((?:[A-Z]\.){2,})(?!\w)", _initials),
        rule(r"\b([A-Z])\.(?=[ ][A-Z][a-z])", lambda m: m[1]),
        rule(
            r"\b(?:(?P<kind>Chapter|Part|Act|Scene|Volume|Section|Book|War|Class|Type|Phase|Level|Stage|Title)|"
            rf"(?P<title>[A-Z][a-z]{{2,}}))[ ](?P<numeral>{romans})\b(?!['’.]?[A-Z])",
            _roman,
        ),
        # numbers with something behind or before
        rule(r"(?<![\w.,])(\d{1,2})'(\d{1,2})(?:\"|'')", lambda m: f"{_read(m[1])} feet {_read(m[2])}"),
        rule(r"(?<![\w.,])'?((?:1[0-9]|20)\d0|[2-9]0)'?s\b", lambda m: decade(int(m[1]))),
        rule(
            rf"(?<![\w.,-])(?P<low>{_NUMBER})[ ]?(?P<unit>{units})(?:[-–—]|[ ][-–—][ ])"
            rf"(?P<number>{_NUMBER})[ ]?(?P=unit)(?![\w°%'²³])",
            _measured_range,
        ),
        rule(r"(?<![\w.,)-])-(?=\.?\d)", lambda m: "minus "),
        rule(r"(?<![\w.,])(\d+(?:\.\d+)?)[eE]([-+]?)(\d{1,3})(?!\w)", _power),
        rule(
            rf"(?<![\w.,])(?:(?P<low>{_NUMBER})[-–])?(?P<number>{_NUMBER})[ ]?(?P<unit>{units})"
            r"(?P<power>[²³]|[23](?!\d))?(?![\w°%'])",
            _unit,
        ),
        rule(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d{1,15})(?:st|nd|rd|th)\b", lambda m: ordinal(_int(m[1]))),
        rule(r"\b24/7\b", lambda m: "twenty four seven"),
        rule(r"(?<![\w.,/])(?:(?P<whole>\d{1,6})[ ]+)?(?P<over>\d{1,6})/(?P<under>\d{1,6})(?![\w/])", _fraction),
        rule(
            r"(?<![\w.,-])(?P<low>\d{1,3}(?:,\d{3})+|\d{1,6}(?:\.\d+)?)[ ]?[-–—][ ]?"
            r"(?P<high>\d{1,3}(?:,\d{3})+|\d{1,6}(?:\.\d+)?)(?![\w-]|[.,]\d)",
            _range,
        ),
        rule(r"(?<=\d)[ ]?[*x×·][ ]?(?=\d)", lambda m: " times "),
        rule(r"(?<=\d)[ ]-[ ](?=\d)", lambda m: " minus "),
        rule(r"(?<=\d)[ ]?/[ ]?(?=\d)", lambda m: " slash "),
        rule(r"(?<!\d)\d+(?:\.\d+){2,}", lambda m: _apart(m, " point ".join(read(part) for part in m[0].split(".")))),
        # numbers alone, also inside words: MP3, 5G
        rule(rf"(?<![\d.,])(?:{_NUMBER})|\d+", _lone),
        # signs
        rule(f"[{other}]", lambda m: f" {known.SIGNS[m[0]]} "),
        rule(r"[ ]+(?=[,.?!;:])", lambda m: ""),
    ]


def _initials(match: re.Match[str]) -> str:
    """Write "U.S." as "US", so that it is read as letters. The last point stays where the sentence ends with it."""
    ends = not match.string[match.end() :].strip() or re.match(r"\s+[A-Z][a-z]+\s+[a-z]", match.string[match.end() :])
    return match[1].replace(".", "") + ("." if ends else "")


def _lone(match: re.Match[str]) -> str:
    return _apart(match, _plain(match[0]))


def _apart(match: re.Match[str], spoken: str) -> str:
    """Put a space between a number that was read and letters on either side of it."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    apart = [" " if side.isalnum() or side == "'" else "" for side in (before, after)]
    return apart[0] + spoken + apart[1]


_RULES = _rules()
