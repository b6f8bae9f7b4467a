"""Saying something again: the user's words, or our own."""

from __future__ import annotations

import re

from realtime.agent.rules.question import Question
from realtime.agent.rules.words import any_of

_AFTER_ME = re.compile(
    r"^\W*(?:(?:please|okay|ok|now|can you|could you|would you|will you)[,\s]+)*"
    r"(?:repeat after me|repeat the (?:words|sentence|phrase)|repeat|say the words?|say after me|say)\b"
    r"[\s:,.;-]*(.+?)\s*$",
    re.IGNORECASE | re.DOTALL,
)
_AGAIN = any_of(
    r"\b(?:repeat|say) (?:that|it|this|what you (?:just )?said|yourself|the last (?:sentence|thing|answer))\b",
    r"\bwhat did you (?:just )?say\b",
    r"\bcome again\b",
    r"^(?:pardon|pardon me|sorry what|what|again|once more|one more time|repeat)$",
    r"\bi (?:did not|could not|can not) (?:hear|understand|catch|get) (?:you|that|it|what you)\b",
)
_MINE = re.compile(
    r"\b(?:what did i (?:just )?(?:say|ask|tell)|repeat what i (?:just )?said|what was my (?:last )?question)\b"
)


def repeating_answer(question: Question) -> str | None:
    """Say something again."""
    if _MINE.search(question.words):
        before = question.said_by("user")
        return f"You said: {_ended(before[0].text.strip())}" if before else "You have said nothing before that."
    if _AGAIN.search(question.words) or _AGAIN.search(question.asked):
        before = question.said_by("assistant")
        return before[0].text.strip() if before else "I have said nothing yet."
    if found := _AFTER_ME.match(question.text):
        words = re.sub(r"[,\s]+please\W*$", "", found[1]).strip("\"“”' ")
        if any(map(str.isalnum, words)) and not re.match(
            r"(?i)(?:something|anything|my name|the (?:time|date|alphabet|abc)|a joke)\b", words
        ):
            return _ended(words[0].upper() + words[1:])
    return None


def _ended(text: str) -> str:
    return text if text[-1] in ".!?…" else f"{text}."
