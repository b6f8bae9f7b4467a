"""Letters: how a word is spelled, and how many it has."""

from __future__ import annotations

import re

from realtime.agent.rules.names import name_in
from realtime.agent.rules.question import Question

_SPELL = re.compile(
    r"\b(?:how (?:do|would|can|does|is|are) (?:you|i|we|one)?\s?(?:spell|spelled|spelt)|spell(?: out)?)\b"
    r"(?: for me)?(?: the (?:word|name))?(?: out)? (.+)$"
)
_LETTERS = re.compile(
    r"\bhow many letters (?:are |are there |does |do |has |there are )*(?:in )?(?:the )?(?:word |name )?"
    r"(.+?)(?: have| has)?$"
)
_LONGEST = 40


def spelling_answer(question: Question) -> str | None:
    """Spell a word, or count its letters."""
    if found := _SPELL.search(question.asked):
        word = _word(question, found[1])
        return f"{word.capitalize()}: {', '.join(_letters(word))}." if 0 < len(word) <= _LONGEST else None
    if found := _LETTERS.search(question.asked):
        if found[1] in ("alphabet", "english alphabet"):
            return "The English alphabet has 26 letters."
        word = _word(question, found[1])
        letters = len(_letters(word))
        return f"{word.capitalize()} has {letters} {'letter' if letters == 1 else 'letters'}." if letters else None
    if re.search(r"\b(?:say|recite|tell|know|sing) (?:me )?(?:the )?(?:alphabet|abc)\b", question.words):
        return f"{', '.join('ABCDEFGHIJKLMNOPQRSTUVWXYZ')}."
    return None


def _word(question: Question, named: str) -> str:
    if named == "my name":
        return name_in(question)
    if named == "your name":
        return "voiced"
    return named.removeprefix("word ").removeprefix("the word ")


def _letters(word: str) -> list[str]:
    return [letter.upper() for letter in word if letter.isalpha()]
