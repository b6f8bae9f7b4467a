"""Text as plain words: what rules match, however a person or a recogniser wrote it."""

from __future__ import annotations

import re
import unicodedata

_TOKEN = re.compile(
    r"\d{1,3}(?:,\d{3})++(?:\.\d++)?|\d++(?:\.\d++)?|[^\W\d_]++(?:'[^\W\d_]++)*+|[-+*/=%^()]",
)
_SIGNS = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "°": " degrees "}
)
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b")
_ENDINGS = {"m": "am", "re": "are", "ve": "have", "ll": "will", "d": "would"}
_BEFORE_IS = frozenset("what who where when how that it he she there here name time day date month year".split())
_NOT = {"can't": ("can", "not"), "won't": ("will", "not")}
_FILLERS = frozenset("um uh er erm hm hmm mm mhm ah eh oh please kindly actually basically".split())
_BEFORE = [
    tuple(phrase.split())
    for phrase in (
        "hello there|hi there|hello|hi|hey|good morning|good evening|good afternoon|excuse me|"
        "okay|ok|alright|so|well|and|but|then|now|just|quickly|great|cool|thank you|thanks|"
        "can you|could you|would you|will you|can i ask|may i ask|tell me|do you know|you know|"
        "i want to know|i would like to know|i wonder|i want you to|i would like you to|let me know|let us"
    ).split("|")
]
_AFTER = [tuple(phrase.split()) for phrase in "for me|thank you|thanks|right now|then|though|by the way".split("|")]


def any_of(*patterns: str) -> re.Pattern[str]:
    """Make a pattern that matches where any of these does."""
    return re.compile("|".join(patterns))


def words_of(text: str) -> list[str]:
    """Give the words of a text in lower case: numbers without commas, contractions in full, signs of sums as words of
    their own, without punctuation and fillers."""
    plain = _ORDINAL.sub("", _HYPHEN.sub(" ", unicodedata.normalize("NFKC", text.translate(_SIGNS)).lower()))
    words: list[str] = []
    for token in _TOKEN.findall(plain):
        if "'" in token:
            words.extend(_in_full(token))
        elif token == "%":
            words.append("percent")
        elif token not in _FILLERS:
            words.append(token.replace(",", ""))
    return words


def without_courtesies(words: list[str]) -> list[str]:
    """Give what is asked: the words without what people say around it, unless there is nothing else."""
    start, end = 0, len(words)
    while (phrase := next((p for p in _BEFORE if words[start : start + len(p)] == list(p)), None)) and start < end:
        start += len(phrase)
    while (
        phrase := next((p for p in _AFTER if words[max(start, end - len(p)) : end] == list(p)), None)
    ) and start < end:
        end -= len(phrase)
    return words[start:end] or words


def _in_full(token: str) -> tuple[str, ...]:
    """Spell a contraction out; of a possessive the owner stays."""
    if token in _NOT:
        return _NOT[token]
    head, _, ending = token.rpartition("'")
    if ending == "t" and head.endswith("n"):
        return head[:-1], "not"
    if ending in _ENDINGS:
        return head, _ENDINGS[ending]
    if ending == "s":
        return (head, "is") if head in _BEFORE_IS else (head,)
    return (token.replace("'", ""),)
