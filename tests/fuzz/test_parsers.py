"""Scope: no parser lets anything but its documented errors escape; a small part of `python -m tests.fuzz`."""

import time

import pytest

from tests.fuzz.mutation import Choices, damaged, mutated
from tests.fuzz.parsers import PARSERS, Parser
from tests.fuzz.runs import Report, run

CASES = 150


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name.replace(" ", "_"))
def test_only_documented_errors_escape(parser: Parser) -> None:
    report: Report = run(parser, CASES)
    assert report.cases >= CASES
    assert report.outcomes["accepted"] > 0, "what is valid is never tried"
    assert not parser.documented or len(report.outcomes) > 1, "what is wrong is never tried"


def test_an_error_that_is_not_documented_is_found() -> None:
    def parse(value: str) -> None:
        if "xy" in value:
            raise KeyError(value)

    fragile = Parser("fragile", lambda choices: choices.pick(["ax", "by", "xy"]), parse, (ValueError,))
    with pytest.raises(KeyError):
        run(fragile, 200)


def test_a_case_that_takes_too_long_is_found() -> None:
    def parse(value: int) -> None:
        until = time.process_time() + 0.004
        while value == 3 and time.process_time() < until:
            pass

    with pytest.raises(AssertionError, match="ms for 3"):
        run(Parser("slow", lambda choices: choices.below(4), parse, max_case_s=0.002), 50)


def test_without_choices_nothing_is_changed() -> None:
    message = {"type": "x", "inner": [1, {"a": b"b"}]}
    assert mutated(message, Choices(bytes(64))) == message
    assert damaged(b"abc", Choices(bytes(64))) == b"abc"
