"""The user's name: heard, remembered from the dialogue, and said back."""

from __future__ import annotations

import re

from realtime.agent.brain import Said
from realtime.agent.rules.question import Question
from realtime.agent.rules.words import any_of

_WORD = r"[^\W\d_]+(?:[-'’][^\W\d_]+)*"
_I_AM = "(?:i am|i['’]m|this is)"
_TOLD = re.compile(
    r"\b(?i:my name is|my name['’]s|call me|i am called|i['’]m called|"
    rf"(?:hello|hi|hey)[,!. ]+{_I_AM}(?=\s+(?-i:[^\W\d_a-z])))\s+"
    rf"({_WORD}(?:\s+(?=[^\W\d_a-z]){_WORD})?)"
)
_WHAT_IS_IT = "You have not told me your name yet. What is it?"
_ALONE = re.compile(rf"(?i:it is|it['’]s|i am|i['’]m|this is)?\s*({_WORD}(?: {_WORD})?)[.!]?$")
_NO_ANSWER = frozenset("no yes nothing never why what nope okay ok sorry goodbye bye stop hello hi".split())
_NO_NAME = frozenset(
    "not a an the back later when if now tomorrow again what whatever maybe your my going here fine good tired sorry "
    "happy calling looking trying just so very and anything something".split()
)
_ASKED = any_of(
    r"\bwhat(?: is)? my name\b",
    r"\bwho am i$",
    r"\b(?:know|remember|recall|guess) (?:what )?(?:is )?my name\b",
    r"\bsay my name\b",
    r"\bwhat did i say my name\b",
    r"\bmy name\b.*\bagain$",
)


def told_in(text: str) -> str:
    """Find the name that somebody gives as theirs; empty: none."""
    for found in _TOLD.finditer(text[:400]):
        name = found[1].strip()
        if name.split()[0].lower() not in _NO_NAME:
            return " ".join(part if part[0].isupper() else part.capitalize() for part in name.split())
    return ""


def name_in(question: Question) -> str:
    """Find the user's name in what they have said so far; empty: they have not said it."""
    said = [entry for entry in question.dialogue.entries if isinstance(entry, Said) and entry.text.strip()]
    for before, entry in zip(reversed([None, *said[:-1]]), reversed(said), strict=True):
        if entry.role == "user" and (name := told_in(entry.text) or _answered(before, entry)):
            return name
    return ""


def _answered(before: Said | None, entry: Said) -> str:
    """Find the name in an answer to our question for it."""
    if before is None or before.role != "assistant" or not before.text.strip().endswith(_WHAT_IS_IT):
        return ""
    found = _ALONE.match(entry.text.strip())
    return found[1] if found and found[1].lower() not in _NO_ANSWER else ""


def name_answer(question: Question) -> str | None:
    """Take a name in, or say the one that was given."""
    if _ASKED.search(question.words):
        name = name_in(question)
        return f"Your name is {name}." if name else _WHAT_IS_IT
    name = told_in(question.text) or _answered(next(iter(question.said_by("assistant")), None), _turn(question))
    return f"Nice to meet you, {name}." if name else None


def _turn(question: Question) -> Said:
    return Said("user", question.text)
