"""Scope: from scores to turns, without a session: when one starts and stops, at which sample, under which rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects import SemanticVad, ServerVad
from realtime.hearing.windows import WINDOW_SAMPLES
from realtime.session.messages import SCORE_SAMPLES
from realtime.session.turns import (
    ScoredWindows,
    Started,
    Stopped,
    TurnDetector,
    TurnRules,
    rules_of,
)

W = SCORE_SAMPLES
SCORES = {".": 0.05, "-": 0.4, "#": 0.9}  # silence, between the thresholds of 0.35 and 0.5, speech
RULES = TurnRules(threshold=0.5, padding_samples=0, silence_samples=4 * W)


def _turns(scores: list[float], rules: TurnRules = RULES) -> list[Started | Stopped]:
    detector = TurnDetector()
    found = [detector.push(score, W * (index + 1), rules) for index, score in enumerate(scores)]
    return [event for event in found if event is not None]


def test_sessions_and_detectors_speak_of_the_same_windows() -> None:
    assert SCORE_SAMPLES == WINDOW_SAMPLES


@pytest.mark.parametrize(
    ("heard", "turns"),
    [
        ("", []),
        ("..........", []),
        ("..#.......", []),  # a click
        ("..#..#..#.", []),  # clicks
        ("..##......", [Started(2 * W), Stopped(8 * W)]),
        ("..#-#.....", [Started(2 * W), Stopped(9 * W)]),  # wavering, but never quiet
        ("..--------", []),  # never speech
        ("##........", [Started(0), Stopped(6 * W)]),
        ("..##...##....", [Started(2 * W), Stopped(13 * W)]),  # a pause that is too short
        ("..##....##....", [Started(2 * W), Stopped(8 * W), Started(8 * W), Stopped(14 * W)]),
        ("..##------..--", [Started(2 * W), Stopped(14 * W)]),  # silence begins below the lower threshold, and goes on
        ("..##.......#..", [Started(2 * W), Stopped(8 * W)]),
        ("..########", [Started(2 * W)]),
    ],
)
def test_where_turns_start_and_stop(heard: str, turns: list[Any]) -> None:
    assert _turns([SCORES[mark] for mark in heard]) == turns


def test_the_stop_is_where_the_silence_was_long_enough_and_not_where_its_window_ends() -> None:
    rules = TurnRules(threshold=0.5, padding_samples=0, silence_samples=12000)
    scores = [0.9, 0.9, *[0.0] * 16]
    assert _turns(scores, rules) == [Started(0), Stopped(2 * W + 12000)]
    assert W * len(scores) > 2 * W + 12000


def test_a_change_of_rules_counts_from_the_next_score_on() -> None:
    detector = TurnDetector()
    patient, strict = TurnRules(0.5, 0, 100 * W), TurnRules(0.95, 0, 2 * W)
    assert detector.push(0.9, W, strict) is None
    assert detector.push(0.9, 2 * W, patient) is None
    assert detector.push(0.9, 3 * W, patient) == Started(W)
    for index in range(3, 20):
        assert detector.push(0.0, W * (index + 1), patient) is None
    assert detector.push(0.0, 21 * W, strict) == Stopped(5 * W)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_silence_is_no_speech_and_certainty_is_at_any_threshold(threshold: float) -> None:
    rules = TurnRules(threshold, 0, 4 * W)
    assert _turns([0.0] * 50, rules) == []
    assert _turns([1.0, 1.0, *[0.0] * 6], rules) == [Started(0), Stopped(6 * W)]


@given(
    scores=st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0])), max_size=200),
    threshold=st.floats(0, 1),
    silence=st.integers(0, 20 * W),
)
def test_starts_and_stops_alternate_in_order_and_within_what_was_heard(
    scores: list[float], threshold: float, silence: int
) -> None:
    turns = _turns(scores, TurnRules(threshold, 0, silence))
    assert [type(event) for event in turns] == [Started, Stopped] * (len(turns) // 2) + [Started] * (len(turns) % 2)
    at = [event.at_sample for event in turns]
    assert at == sorted(at)
    assert all(0 <= sample <= W * len(scores) for sample in at)
    assert all(b - a >= silence for a, b in zip(at[::2], at[1::2], strict=False))


@given(pieces=st.lists(st.integers(0, 5000), min_size=1))
def test_windows_lie_where_the_audio_was_cut_whatever_its_pieces(pieces: list[int]) -> None:
    windows, heard, ends = ScoredWindows(), 0, []
    for samples in pieces:
        whole = (heard + samples) // W - heard // W
        ends += [heard + end for end in windows.ends(samples, [0.0] * whole)]
        heard += samples
    assert ends == [W * (index + 1) for index in range(heard // W)]


@given(pieces=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 8))))
def test_windows_stay_within_their_audio_when_whoever_scores_loses_count(pieces: list[tuple[int, int]]) -> None:
    windows = ScoredWindows()
    for samples, count in pieces:
        ends = windows.ends(samples, [0.0] * count)
        assert ends == sorted(ends)
        assert all(0 <= end <= samples for end in ends)


@pytest.mark.parametrize(
    ("detection", "rules"),
    [
        (ServerVad(0.7, 200, 400, 6000, False, False), TurnRules(0.7, 4800, 9600, False, 6.0)),
        (ServerVad(0.0, 0, 0, None, False, True), TurnRules(0.0, 0, 0, True, None)),
        (SemanticVad("low", False, True), TurnRules(0.5, 7200, 24000)),
        (SemanticVad("medium", False, True), TurnRules(0.5, 7200, 14400)),
        (SemanticVad("auto", False, True), TurnRules(0.5, 7200, 14400)),
        (SemanticVad("high", False, False), TurnRules(0.5, 7200, 7200, False)),
    ],
)
def test_the_rules_are_those_of_the_effective_settings(detection: Any, rules: TurnRules) -> None:
    assert rules_of(detection, 24000) == rules
