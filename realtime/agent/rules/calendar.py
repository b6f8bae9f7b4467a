"""Time and date, and what is known of days, weeks, months and years."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from realtime.agent.rules.numbers import with_digits
from realtime.agent.rules.question import Question
from realtime.agent.rules.words import any_of

_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = (
    "January February March April May June July August September October November December"
).split()  # fmt: skip
_MONTH = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_ORDINALS = {
    word: number
    for number, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth".split(),
        1,
    )
} | {"thirtieth": 30}
_ORDINAL = re.compile(r"\b(?:(twenty|thirty) )?(" + "|".join(_ORDINALS) + r")\b")
_FEASTS = {
    "christmas": (12, 25), "christmas day": (12, 25), "christmas eve": (12, 24), "new year": (1, 1),
    "new years": (1, 1), "new years day": (1, 1), "new years eve": (12, 31), "halloween": (10, 31),
    "valentines day": (2, 14), "valentine day": (2, 14),
}  # fmt: skip
_MONTH_NAME = "|".join(_MONTH)
_DATE = re.compile(
    rf"\b(?:(?:the )?(\d{{1,2}}) (?:of )?({_MONTH_NAME})|({_MONTH_NAME}) (?:the )?(\d{{1,2}}))(?: (?:of )?(\d{{4}}))?\b"
)
_ABOUT_DATES = re.compile(rf"\b(?:days?|dates?|weeks?|weekend|month|year|today|long|when|is it|{_MONTH_NAME})\b|^what ")
_TIME = re.compile(
    r"\bwhat time\b|\bthe time\b|\btime is it\b|^time$|\bhow late is it\b|\bcurrent time\b|\bwhat hour\b"
)
_ELSEWHERE = re.compile(r"\b(?:time|date|day)\b.*\bin (?!the\b|\d|a\b|this\b|words\b|my\b)([a-z ]+)$")
_TODAY = any_of(
    r"\b(?:what|which) (?:day|date|weekday)(?: of the week| of the month)?(?: is| do we have)?(?: it| this)?"
    r"(?: today| now)?$",
    r"\bwhat is (?:today|the date|the day)(?: today| now| date| day| of the week)*$",
    r"\b(?:today|current) date\b",
    r"^(?:the )?date$",
)
_SHIFTED = re.compile(r"\b(day after tomorrow|day before yesterday|tomorrow|yesterday)\b")
_SHIFTS = {"day after tomorrow": 2, "day before yesterday": -2, "tomorrow": 1, "yesterday": -1}
_IN_DAYS = re.compile(r"\bin (\d{1,5}) (day|week)s?\b|\b(\d{1,5}) (day|week)s? (from now|ago)\b")
_UNTIL = re.compile(r"\bhow (?:many (?:days|weeks)|long)\b.*\b(?:until|till|to|before)\b (.+?)(?: day)?$")
_DAYS_IN = re.compile(rf"\bhow many days\b.*\b({_MONTH_NAME})(?: (\d{{4}}))?$")
_LEAP = re.compile(r"\b(?:is|was|will) (?:(\d{4})|(?:this|it)(?: year)?) (?:be )?(?:a )?leap year\b")
_NEXT = re.compile(
    r"\b(?:what|which)(?: (?:is|the|day|month|comes|was))* (after|before) (" + "|".join(_DAYS + _MONTHS).lower() + r")$"
)
_NOW = "(?: (?:is|are|do|it|this|we|have|in|today|now|right))*$"


def time_answer(question: Question) -> str | None:
    """Tell the time where the server runs."""
    if not _TIME.search(question.words) or "how many" in question.words:
        return None
    if _ELSEWHERE.search(question.asked):
        return f"I only know the time where I run, and there it is {_clock(question)}."
    return f"It is {_clock(question)}."


def date_answer(question: Question) -> str | None:
    """Tell a date, a day of the week, or how long it is until then."""
    today = question.now.date()
    if not _ABOUT_DATES.search(question.asked):
        return None
    line = " ".join(with_digits(_ORDINAL.sub(_number, question.asked).split()))
    for rule in (_until, _days_in, _leap, _after, _named_date, _shifted):
        if (sentence := rule(line, today)) is not None:
            return sentence
    if re.search(r"\b(?:what|which) year" + _NOW, line):
        return f"It is {today.year}."
    if re.search(r"\b(?:what|which) month" + _NOW, line):
        return f"It is {_MONTHS[today.month - 1]}."
    if re.search(r"\b(?:what|which) (?:calendar )?week (?:is|of|number|are)\b|\bweek number\b", line):
        return f"It is week {today.isocalendar().week} of the year."
    if re.search(r"\bis (?:it|today) the weekend\b|\bis it (?:a )?weekend\b", line):
        return f"{'Yes' if today.weekday() > 4 else 'No'}, it is {_DAYS[today.weekday()]}."
    if asked := re.search(r"\bis (?:it|today) (" + "|".join(_DAYS).lower() + r")\b", line):
        day = _DAYS[today.weekday()]
        return f"{'Yes' if day.lower() == asked[1] else 'No'}, it is {day}."
    if _TODAY.search(line):
        return f"Today is {_spoken(today)}."
    return None


def fact_answer(question: Question) -> str | None:
    """Name the days, the months and the seasons."""
    line = question.asked
    if re.search(r"\b(?:days of the week|name the days|weekdays)\b", line):
        return f"The days of the week are {', '.join(_DAYS[:-1])} and {_DAYS[-1]}."
    if re.search(r"\b(?:months of the year|name the months)\b", line):
        return f"The months are {', '.join(_MONTHS[:-1])} and {_MONTHS[-1]}."
    if re.search(r"\bname the seasons\b|\bwhat are the (?:four |4 )?seasons\b", line):
        return "The seasons are spring, summer, autumn and winter."
    return None


def _clock(question: Question) -> str:
    now = question.now
    return f"{now.hour % 12 or 12}:{now.minute:02d} {'AM' if now.hour < 12 else 'PM'}"


def _spoken(day: date) -> str:
    return f"{_DAYS[day.weekday()]}, {_MONTHS[day.month - 1]} {day.day}, {day.year}"


def _number(ordinal: re.Match[str]) -> str:
    return str({"twenty": 20, "thirty": 30}.get(ordinal[1], 0) + _ORDINALS[ordinal[2]])


def _until(line: str, today: date) -> str | None:
    found = _UNTIL.search(line)
    if found is None:
        return None
    name = found[1].removeprefix("the ").removeprefix("next ").removesuffix(" is")
    if name in _FEASTS or f"{name} day" in _FEASTS:
        month, number = _FEASTS.get(name) or _FEASTS[f"{name} day"]
        day: date | None = _coming(month, number, today)
    elif name.capitalize() in _DAYS:
        ahead = (_DAYS.index(name.capitalize()) - today.weekday()) % 7 or 7
        day = today + timedelta(ahead)
    else:
        day = _date_in(name, today)
    if day is None:
        return None
    left = (day - today).days
    if left < 0:
        return f"{_spoken(day)} is over: it was {-left} {'day' if left == -1 else 'days'} ago."
    if left == 0:
        return "That is today!"
    if "weeks" in line and left >= 7:
        weeks, days = divmod(left, 7)
        return f"It is {weeks} weeks and {days} days until {_spoken(day)}."
    return f"There {'is 1 day' if left == 1 else f'are {left} days'} to go: it is on {_spoken(day)}."


def _days_in(line: str, today: date) -> str | None:
    found = _DAYS_IN.search(line)
    if found is None:
        return None
    month, year = _MONTH[found[1]], int(found[2] or 0)
    if month == 2 and not year:
        return "February has 28 days, and 29 in a leap year."
    number = calendar.monthrange(min(max(year, 1), 9999) if year else today.year, month)[1]
    return f"{_MONTHS[month - 1]} has {number} days."


def _leap(line: str, today: date) -> str | None:
    found = _LEAP.search(line)
    if found is None:
        return None
    year = int(found[1] or today.year)
    return (
        f"{'Yes' if calendar.isleap(year) else 'No'}, {year} is {'' if calendar.isleap(year) else 'not '}a leap year."
    )


def _after(line: str, _: date) -> str | None:
    found = _NEXT.search(line)
    if found is None:
        return None
    name = found[2].capitalize()
    names = _DAYS if name in _DAYS else _MONTHS
    step = 1 if found[1] == "after" else -1
    return f"{names[(names.index(name) + step) % len(names)]} comes {found[1]} {name}."


def _named_date(line: str, today: date) -> str | None:
    if not re.search(r"\b(?:what|which) (?:day|weekday)\b|\bday of the week\b|^when is\b", line):
        return None
    name = next((feast for feast in sorted(_FEASTS, key=len, reverse=True) if line.endswith(feast)), None)
    day = _coming(*_FEASTS[name], today) if name else _date_in(line, today)
    if day is None:
        return None
    return f"{_MONTHS[day.month - 1]} {day.day}, {day.year} {'was' if day < today else 'is'} a {_DAYS[day.weekday()]}."


def _shifted(line: str, today: date) -> str | None:
    if not re.search(r"\b(?:day|date|what is|what was|weekday)\b", line):
        return None
    if found := _SHIFTED.search(line):
        if re.search(r"\b(?:weather|happens?|going on|plan|do)\b", line):
            return None
        shift = _SHIFTS[found[1]]
    elif found := _IN_DAYS.search(line):
        number, unit = int(found[1] or found[3]), found[2] or found[4]
        shift = number * (7 if unit == "week" else 1) * (-1 if found[5] == "ago" else 1)
    else:
        return None
    try:
        day = today + timedelta(shift)
    except OverflowError:
        return None
    return f"That {'is' if shift > 0 else 'was'} {_spoken(day)}."


def _coming(month: int, number: int, today: date) -> date:
    """Find the next day of this date, today included."""
    day = date(today.year, month, number)
    return day if day >= today else date(today.year + 1, month, number)


def _date_in(line: str, today: date) -> date | None:
    found = _DATE.search(line)
    if found is None:
        return None
    number, month = int(found[1] or found[4]), _MONTH[found[2] or found[3]]
    try:
        if found[5]:
            return date(int(found[5]), month, number)
        return _coming(month, number, today)
    except ValueError:
        return None
