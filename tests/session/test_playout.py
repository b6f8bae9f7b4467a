"""Where the listener is, and which words that was."""

from __future__ import annotations

import pytest

from realtime.session.playout import Playout

RATE = 24000


def test_a_listener_plays_in_real_time_and_waits_when_it_runs_dry() -> None:
    playout = Playout(RATE)
    playout.begin_clause("one two")
    playout.generate(RATE)
    playout.send(RATE // 2, now=10.0)
    assert playout.played(10.2) == pytest.approx(0.2 * RATE, abs=1)
    assert playout.lead(10.2) == pytest.approx(0.8)  # what is generated and not sent counts
    assert playout.played(12.0) == RATE // 2
    playout.send(RATE // 2, now=12.0)  # after a gap it goes on from there
    assert playout.played(12.1) == pytest.approx(0.6 * RATE, abs=1)
    assert playout.played(99.0) == RATE


def test_whole_clauses_count_when_they_are_over_and_words_by_their_share() -> None:
    playout = Playout(RATE)
    playout.begin_clause("Hello there. ")
    playout.generate(RATE)
    playout.begin_clause("Good bye now.")
    playout.end_clause()
    playout.clauses[0].whole = True
    playout.generate(RATE)
    assert playout.heard_text(0) == ""
    assert playout.heard_text(RATE) == "Hello there. "
    assert playout.heard_text(RATE + RATE // 2) == "Hello there. Good"
    assert playout.heard_text(2 * RATE) == "Hello there. Good bye now."


def test_a_clause_cut_off_early_was_not_heard_to_its_end() -> None:
    text = "This is a long clause that would have taken about five seconds to say, had nobody said stop."
    playout = Playout(RATE)
    playout.begin_clause(text)
    playout.generate(RATE)  # one second of it, all of it played
    heard = playout.heard_text(RATE)
    assert text.startswith(heard)
    assert 0 < len(heard) <= 15


def test_the_pace_of_what_was_heard_whole_tells_how_long_the_rest_would_be() -> None:
    playout = Playout(RATE)
    playout.begin_clause("slow words ")
    playout.generate(10 * RATE)  # a second for each letter
    playout.end_clause()
    playout.begin_clause("more slow words")
    playout.generate(5 * RATE)
    assert playout.heard_text(15 * RATE) == "slow words more"
