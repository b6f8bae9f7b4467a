"""Where the listener is, and which words that was."""

from __future__ import annotations

import pytest

from realtime.session.playback import EstimatedClock
from realtime.session.playout import Playout, Word

RATE = 24000


def test_a_listener_plays_in_real_time_and_waits_when_it_runs_dry() -> None:
    playout = Playout(RATE, EstimatedClock(RATE))
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
    playout = Playout(RATE, EstimatedClock(RATE))
    playout.begin_clause("Hello there. ")
    playout.generate(RATE)
    playout.begin_clause("Good bye now.")
    playout.end_clause()
    playout.clauses[0].whole = True
    playout.generate(RATE)
    assert playout.played_text(0) == ""
    assert playout.played_text(RATE) == "Hello there. "
    assert playout.played_text(RATE + RATE // 2) == "Hello there. Good"
    assert playout.played_text(2 * RATE) == "Hello there. Good bye now."


def test_a_clause_cut_off_early_was_not_heard_to_its_end() -> None:
    text = "This is a long clause that would have taken about five seconds to say, had nobody said stop."
    playout = Playout(RATE, EstimatedClock(RATE))
    playout.begin_clause(text)
    playout.generate(RATE)  # one second of it, all of it played
    heard = playout.played_text(RATE)
    assert text.startswith(heard)
    assert 0 < len(heard) <= 15


def test_the_pace_of_what_was_heard_whole_tells_how_long_the_rest_would_be() -> None:
    playout = Playout(RATE, EstimatedClock(RATE))
    playout.begin_clause("slow words ")
    playout.generate(10 * RATE)  # a second for each letter
    playout.end_clause()
    playout.begin_clause("more slow words")
    playout.generate(5 * RATE)
    assert playout.played_text(15 * RATE) == "slow words more"


def test_words_are_told_with_the_audio_they_begin_in() -> None:
    playout = Playout(RATE, EstimatedClock(RATE))
    playout.begin_clause("one two three")  # 11 letters: .73 s at the usual pace
    told = []
    for _ in range(8):
        words = playout.words(RATE // 10)
        for word in words:
            assert word.start < playout.generated / RATE + 0.1, "told before its audio"
        told += words
        playout.generate(RATE // 10)
    told += playout.end_clause()
    assert [word.text for word in told] == ["one", " two", " three"]
    assert [word.start for word in told] == [0.0, 0.2, 0.4]


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0, 20.0])
def test_speech_faster_or_slower_than_expected_has_words_in_order_within_its_audio(seconds: float) -> None:
    playout = Playout(RATE, EstimatedClock(RATE))
    texts = ["Six words that take some time. ", "Then five words more come."]
    told: list[Word] = []
    bounds = []
    for text in texts:
        begin = playout.begin_clause(text)
        for _ in range(10):
            told += playout.words(round(seconds * RATE / 10))
            playout.generate(round(seconds * RATE / 10))
        told += playout.end_clause()
        bounds.append((begin, playout.generated / RATE))
    assert "".join(word.text for word in told) == "".join(texts)
    assert [word.start for word in told] == sorted(word.start for word in told)
    assert all(word.start <= word.end for word in told)
    for words, (begin, end) in zip((told[:6], told[6:]), bounds, strict=True):
        assert words[0].start == pytest.approx(begin, abs=1e-3)
        assert words[-1].start <= end + 1e-3


def test_the_words_that_are_left_share_the_audio_that_is_left() -> None:
    playout = Playout(RATE, EstimatedClock(RATE))
    playout.begin_clause("aaaaa bbbbb ccccc")  # a second at the usual pace
    assert [word.text for word in playout.words(RATE // 10)] == ["aaaaa"]
    playout.generate(RATE)
    playout.generate(RATE)  # it took two
    assert playout.end_clause() == [Word(" bbbbb", 0.333, 1.167), Word(" ccccc", 1.167, 2.0)]


def test_a_speakers_tag_takes_no_time() -> None:
    playout = Playout(RATE, EstimatedClock(RATE))
    playout.begin_clause("[SPEAKER1] aaa bbb")
    playout.generate(RATE)
    words = playout.end_clause()
    assert [(word.text, word.start, word.end) for word in words] == [
        ("[SPEAKER1]", 0.0, 0.0),
        (" aaa", 0.0, 0.5),
        (" bbb", 0.5, 1.0),
    ]
