"""Scope: however many clients are refused a voice, what is remembered of them stays bounded."""

from realtime.shell.slot_shares import SlotShares

MOST_WAITING = 256


def test_of_very_many_clients_that_are_refused_only_the_first_are_waited_for() -> None:
    shares = SlotShares()
    for number in range(MOST_WAITING + 1):
        shares.note_refused(f"client {number}", 0.0)
    for number in range(MOST_WAITING):
        shares.note_served(f"client {number}")
    greedy = shares.client("greedy")
    assert all(greedy.may_begin(f"r{n}", 4, 1.0) for n in range(4)), "the last one was never remembered"


def test_one_of_them_that_comes_again_is_waited_for_from_then_on() -> None:
    shares = SlotShares()
    for number in range(MOST_WAITING):
        shares.note_refused(f"client {number}", 0.0)
    shares.note_refused("client 0", 9.0)
    greedy = shares.client("greedy")
    assert greedy.may_begin("r0", 2, 18.0)
    assert not greedy.may_begin("r1", 2, 18.0), "the first one still waits"
    assert greedy.may_begin("r1", 2, 19.0), "nobody does"
