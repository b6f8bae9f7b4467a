"""Scope: the line before a full server: places, who comes in first, who is forgotten."""

from realtime.transports.waiting_line import WaitingLine

ANN, BEN, CID = "ticket-ann", "ticket-ben", "ticket-cid"


def test_with_room_and_nobody_waiting_anybody_comes_in() -> None:
    line = WaitingLine()
    assert line.place(ANN, 1, 0.0) is None
    assert line.place(None, 1, 0.0) is None


def test_places_are_kept_in_the_order_of_arrival() -> None:
    line = WaitingLine()
    assert [line.place(who, 0, 0.0) for who in (ANN, BEN, CID)] == [1, 2, 3]
    assert [line.place(who, 0, 5.0) for who in (CID, ANN, BEN)] == [3, 1, 2]


def test_whoever_came_first_comes_in_first() -> None:
    line = WaitingLine()
    line.place(ANN, 0, 0.0)
    line.place(BEN, 0, 1.0)
    assert line.place(BEN, 1, 5.0) == 2, "the free place is for the first"
    assert line.place(CID, 1, 5.0) == 3, "nor for somebody new"
    assert line.place(None, 1, 5.0) == 4
    assert line.place(ANN, 1, 6.0) is None
    assert line.place(BEN, 0, 7.0) == 1
    assert line.place(BEN, 1, 8.0) is None


def test_as_many_come_in_as_there_is_room() -> None:
    line = WaitingLine()
    line.place(ANN, 0, 0.0)
    line.place(BEN, 0, 0.0)
    assert line.place(BEN, 2, 1.0) is None


def test_whoever_does_not_come_back_is_forgotten() -> None:
    line = WaitingLine()
    line.place(ANN, 0, 0.0)
    line.place(BEN, 0, 10.0)
    assert line.place(BEN, 0, 15.5) == 1


def test_without_a_ticket_no_place_is_kept() -> None:
    line = WaitingLine()
    assert line.place(None, 0, 0.0) == 1
    assert line.place("not a ticket!", 0, 0.0) == 1
    assert line.place(ANN, 0, 0.0) == 1


def test_the_line_is_bounded() -> None:
    line = WaitingLine()
    for number in range(1000):
        line.place(f"ticket-{number:04}", 0, 0.0)
    assert line.place("ticket-9999", 0, 0.0) == 257
    assert line.place("ticket-0000", 0, 0.0) == 1
