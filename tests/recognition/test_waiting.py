"""Scope: which job is next, and how many may wait."""

from realtime.recognition.waiting import MOST_OF_A_KIND, Waiting


def test_finals_come_before_early_ones_before_partials_and_each_in_order() -> None:
    waiting = Waiting[str]()
    for kind, job in [("partial", "p"), ("early", "e"), ("final", "f1"), ("partial", "q"), ("final", "f2")]:
        assert waiting.add(kind, job)  # type: ignore[arg-type]
    assert len(waiting) == 5
    assert [waiting.take() for _ in range(6)] == ["f1", "f2", "e", "p", "q", None]


def test_what_nobody_waits_for_any_more_is_dropped() -> None:
    waiting = Waiting[str]()
    waiting.add("early", "stale")
    waiting.add("early", "fresh")
    waiting.drop("early", "stale")
    waiting.drop("early", "never there")
    assert (waiting.take(), waiting.take()) == ("fresh", None)


def test_a_job_that_is_given_back_is_next_again() -> None:
    waiting = Waiting[str]()
    waiting.add("final", "first")
    waiting.add("final", "second")
    waiting.give_back("final", waiting.take() or "")
    assert waiting.take() == "first"


def test_a_row_is_bounded_and_the_others_are_not_touched_by_it() -> None:
    waiting = Waiting[int]()
    assert all(waiting.add("final", number) for number in range(MOST_OF_A_KIND))
    assert not waiting.add("final", 99)
    assert waiting.add("partial", 1)
    assert len(waiting) == MOST_OF_A_KIND + 1
