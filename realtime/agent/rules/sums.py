"""Sums in words or signs: read into an expression, which is walked, never evaluated as code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from fractions import Fraction

from realtime.agent.rules.numbers import MOST, is_number, said, written
from realtime.agent.rules.question import Question
from realtime.agent.rules.words import any_of

_MOST_TOKENS = 60
_ASKED = re.compile(
    r"^(?:(?:what|how much|how many) (?:is|are|does|do|would be|makes?)|what about|how about|"
    r"calculate|compute|work out|solve|evaluate|give me|the result of|the answer to)\b ?"
)
_HINTS = any_of(
    r"[-+*/^]",
    r"\b(?:plus|minus|times|x|over|by|less|percent|half|third|quarter|square|double|twice|triple|thrice|squared|cubed|root|power)\b",
    r"\b(?:add|added|subtract|take|sum|total|product|difference|multiply|divide|negative)\b",
)
_ENDS = re.compile(r" (?:is|equals?|equal to|makes?|=|is equal to)(?: what| how much)?$|^(?:is|the) ")
_N = r"(\d+(?:\.\d+)?)"


def _squared(found: re.Match[str]) -> str:
    number = found[1] or found[2]
    return f"( {number} * {number} )"


_PHRASES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(rf"^(?:the )?(?:sum|total) of {_N} and {_N}"), r"\1 + \2"),
    (re.compile(rf"^(?:the )?product of {_N} and {_N}"), r"\1 * \2"),
    (re.compile(rf"^(?:the )?difference between {_N} and {_N}"), r"\1 - \2"),
    (re.compile(rf"^add {_N} (?:and|to|with) {_N}"), r"\1 + \2"),
    (re.compile(rf"^(?:subtract|take) {_N} (?:away )?from {_N}"), r"\2 - \1"),
    (re.compile(rf"^multiply {_N} (?:by|with|and|times) {_N}"), r"\1 * \2"),
    (re.compile(rf"^divide {_N} (?:by|with) {_N}"), r"\1 / \2"),
    (re.compile(rf"(?:a )?half (?:of )?(?:an? )?{_N}"), r"\1 / 2"),
    (re.compile(rf"(?:a|one|1) third of {_N}"), r"\1 / 3"),
    (re.compile(rf"(?:a|one|1) quarter of {_N}"), r"\1 / 4"),
    (re.compile(rf"(?:double|twice) {_N}"), r"2 * \1"),
    (re.compile(rf"(?:triple|three times|thrice) {_N}"), r"3 * \1"),
    (re.compile(rf"{_N} squared|(?:the )?square of {_N}"), _squared),
    (re.compile(rf"{_N} percent of {_N}"), r"( \1 / 100 ) * \2"),
    (re.compile(r"\b(?:plus|added to|add)\b"), "+"),
    (re.compile(r"\b(?:minus|less|take away|subtract|negative)\b"), "-"),
    (re.compile(r"\b(?:multiplied by|multiplied with|times|x)\b"), "*"),
    (re.compile(r"\b(?:divided by|over)\b"), "/"),
]
_SPOKEN = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_DONE: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_POWER = re.compile(rf"^{_N} (?:\^|\* \*|to the power of|to the) |\b(?:square|cube|cubic) root\b|{_N} cubed\b")
_LAST_RESULT = re.compile(r" is (?:about )?(minus )?(\d[\d,]*(?:\.\d+)?)\.$")


class _TooLarge(Exception):
    """A number on the way is beyond what is worked with."""


def sum_answer(question: Question) -> str | None:
    """Work a sum out."""
    line = question.counted
    if len(line.split()) > _MOST_TOKENS or not _HINTS.search(line):
        return None
    last = _last_result(question)
    if last:
        line = re.sub(r"\b(?:that|it|the result)\b(?! is| equals)", " ".join(last), line)
    if not any(map(str.isdigit, line)):
        return None
    line = _ASKED.sub("", line)
    while (shorter := _ENDS.sub("", line)) != line:
        line = shorter
    if _POWER.search(line):
        return "Powers and roots are beyond my rules. I add, subtract, multiply and divide."
    percent = re.match(rf"{_N} percent of {_N}$", line)
    for pattern, form in _PHRASES:
        line = pattern.sub(form, line)
    tokens = line.split()
    if last and tokens and tokens[0] in "+*/":
        tokens = [*last, *tokens]
    operators = sum(token in _SPOKEN for token in tokens)
    if not operators or not all(is_number(token) or token in _SPOKEN or token in "()" for token in tokens):
        return None
    try:
        result = _walked(ast.parse(" ".join(tokens), mode="eval").body)
    except ZeroDivisionError:
        return "Nothing can be divided by zero."
    except _TooLarge:
        return "Those numbers are too large for me."
    except (SyntaxError, ValueError):
        return None
    if len(tokens) == 2:
        return None  # a bare "minus 5" asks for nothing
    if percent:
        return f"{percent[1]} percent of {percent[2]} is {said(result)}."
    return f"{'That' if '(' in tokens else _in_words(tokens)} is {said(result)}."


def _last_result(question: Question) -> list[str]:
    """Give what the last answer came to, for "and times two"."""
    before = question.said_by("assistant")
    found = _LAST_RESULT.search(before[0].text[-40:]) if before else None
    if found is None:
        return []
    number = found[2].replace(",", "")
    return ["(", "-", number, ")"] if found[1] else [number]


def _walked(node: ast.expr) -> Fraction:
    """Work an expression out. Raises ValueError for anything but the four operations on numbers, and _TooLarge."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            result = Fraction(repr(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            result = -_walked(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            result = _walked(operand)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _DONE:
            result = _DONE[type(operator)](_walked(left), _walked(right))
        case _:
            raise ValueError(type(node).__name__)
    if abs(result) >= MOST or result.denominator >= 10**60:
        raise _TooLarge
    return result


def _in_words(tokens: list[str]) -> str:
    """Say the sum, so that whoever asked hears what was understood."""
    return " ".join(_SPOKEN.get(token) or written(Fraction(token)) for token in tokens)
