"""Scope: the transition tables: total, with a way out of every state and none out of the last."""

import pytest

from realtime.session.states import (
    RESPONSE_MOVES,
    SESSION_MOVES,
    IllegalTransition,
    ResponseState,
    SessionState,
    moved,
)


def test_the_tables_name_every_state() -> None:
    assert set(RESPONSE_MOVES) == set(ResponseState)
    assert set(SESSION_MOVES) == set(SessionState)


@pytest.mark.parametrize("state", ResponseState)
def test_a_response_can_be_cancelled_and_can_fail_until_it_is_over(state: ResponseState) -> None:
    over = state in (ResponseState.DONE, ResponseState.CANCELLED, ResponseState.FAILED)
    assert state.terminal == over
    assert RESPONSE_MOVES[state] >= (set() if over else {ResponseState.CANCELLED, ResponseState.FAILED})
    assert not over or RESPONSE_MOVES[state] == set()


@pytest.mark.parametrize("state", [state for state in SessionState if state is not SessionState.CLOSED])
def test_every_session_can_be_closed(state: SessionState) -> None:
    assert SessionState.CLOSED in SESSION_MOVES[state]
    assert SESSION_MOVES[SessionState.CLOSED] == set()


@pytest.mark.parametrize("table", [RESPONSE_MOVES, SESSION_MOVES])
def test_what_the_table_does_not_name_raises(table: dict) -> None:  # type: ignore[type-arg]
    for current, allowed in table.items():
        for new in table:
            if new in allowed:
                assert moved(table, current, new) is new
            else:
                with pytest.raises(IllegalTransition):
                    moved(table, current, new)


@pytest.mark.parametrize(
    ("table", "first"), [(RESPONSE_MOVES, ResponseState.QUEUED), (SESSION_MOVES, SessionState.NEW)]
)
def test_every_state_can_be_reached(table: dict, first: object) -> None:  # type: ignore[type-arg]
    reached, new = set(), {first}
    while new:
        reached |= new
        new = {after for state in new for after in table[state]} - reached
    assert reached == set(table)
