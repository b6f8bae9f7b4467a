"""Scope: the line before a full server: places, who comes in first, who is forgotten."""

from realtime.shell.waiting_line import WaitingLine

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


def test_who_only_asks_stays_in_the_line() -> None:
    line = WaitingLine()
    line.place(ANN, 0, 0.0)
    line.place(BEN, 0, 0.0)
    assert line.place(ANN, 1, 10.0, enters=False) is None
    assert line.place(ANN, 0, 20.0, enters=False) == 1, "and having asked keeps its place"
    assert line.place(CID, 1, 21.0, enters=False) == 2
    assert line.place(ANN, 1, 22.0) is None
    assert line.place(CID, 0, 23.0) == 1


def test_the_line_is_bounded() -> None:
    line = WaitingLine()
    for number in range(1000):
        line.place(f"ticket-{number:04}", 0, 0.0)
    assert line.place("ticket-9999", 0, 0.0) == 257
    assert line.place("ticket-0000", 0, 0.0) == 1


def test_tickets_that_only_keep_their_places_hold_the_free_sessions_for_ten_seconds() -> None:
    line = WaitingLine()
    idle = [f"ticket-{number:04}" for number in range(256)]
    for ticket in idle:
        line.place(ticket, 0, 0.0)
    for second in range(1, 12):
        assert line.place("ticket-honest", 9, float(second)) == 257, "too many wait for it to be given a place"
        for ticket in idle[9:]:  # never those who might come in
            assert line.place(ticket, 9, float(second)) is not None
    assert line.place("ticket-honest", 9, 11.5) is None
    assert line.place(None, 9, 11.5) is None, "nor has it taken any of them yet"


def test_taking_turns_at_being_the_first_does_not_hold_a_session_longer() -> None:
    line = WaitingLine()
    line.place(ANN, 0, 0.0)
    line.place(BEN, 0, 8.0)
    assert line.place(CID, 1, 10.0) == 3
    assert line.place(CID, 1, 19.0) == 2, "the first is forgotten, the session is the second's"
    assert line.place(CID, 1, 20.5) is None


def test_each_session_is_the_lines_for_its_own_ten_seconds() -> None:
    line = WaitingLine()
    for ticket in (ANN, BEN, CID):
        line.place(ticket, 0, 8.0)
    assert line.place(None, 1, 10.0) == 4
    assert line.place(None, 2, 15.0) == 4
    assert line.place(None, 2, 20.5) is None, "it took what was free since 10 s"
    assert line.place(None, 1, 20.6) == 4, "the other is free since 15 s"


def test_nobody_passes_those_who_ask_as_they_were_told_however_many_sessions_end() -> None:
    line = WaitingLine()
    asks_next: dict[str, float] = {}
    for number in range(200):
        line.place(f"ticket-{number:04}", 0, 0.0)
        asks_next[f"ticket-{number:04}"] = number % 65 / 10
    free = 0
    for tenth in range(600):
        now = tenth / 10
        free += tenth % 5 == 0  # two sessions a second end
        assert line.place(None, free, now) is not None, "somebody new has to wait"
        for ticket in [ticket for ticket, due in asks_next.items() if due <= now]:
            if line.place(ticket, free, now) is None:
                free -= 1
                del asks_next[ticket]
            else:
                asks_next[ticket] = now + 6.5
    assert len(asks_next) < 100, "and the others come in"
