"""Scope: the engine is held back from a listener that does not take its speech, as an effect of the session."""

from __future__ import annotations

import pytest

from realtime.session.messages import BrainDone, BrainSaid, HangUp, HoldClause, Stalled, Tick
from realtime.session.states import SessionState
from tests.session.harness import Talk, generation

TWO = "The first of them is long enough to be a clause. The second of them is another clause."


def _holds(talk: Talk) -> list[tuple[str, bool]]:
    return [(effect.clause_id, effect.held) for effect in talk.effects if isinstance(effect, HoldClause)]


def test_a_clause_whose_speech_does_not_leave_is_held_and_goes_on_when_it_has_left() -> None:
    talk = Talk()
    talk.respond()
    talk.audio(1.0)
    assert _holds(talk) == [], "a second of it may wait"
    talk.audio(0.1)
    assert _holds(talk) == [(talk.running, True)]
    talk.audio(0.1)
    assert len(_holds(talk)) == 1, "told once"
    talk.deliver()
    assert _holds(talk) == [(talk.running, True), (talk.running, False)]


def test_where_the_server_plays_the_lead_of_the_engine_may_wait_beside_it() -> None:
    talk = Talk(plays=True)
    talk.respond()
    talk.audio(4.0)
    talk.deliver()
    assert _holds(talk) == []
    talk.audio(0.1)
    talk.deliver()
    assert _holds(talk) == [(talk.running, True)]
    talk.play(0.7)
    assert len(_holds(talk)) == 1, "it goes on once there is room for more"
    talk.play(0.2)
    assert _holds(talk) == [(talk.running, True), (talk.running, False)]


@pytest.mark.parametrize("lead_s", [0.5, 10.0])
def test_a_client_that_wants_another_lead_is_held_by_that(lead_s: float) -> None:
    talk = Talk(plays=True)
    talk.respond(voiced=generation(max_lead_s=lead_s))
    talk.audio(lead_s + 1.9)
    assert _holds(talk) == []
    talk.audio(0.2)
    assert _holds(talk) == [(talk.running, True)]


def test_a_client_that_takes_nothing_is_held_at_once_also_in_the_next_clause() -> None:
    talk = Talk()
    talk.respond(TWO)
    first = talk.running
    talk.tell(Stalled(True))
    assert _holds(talk) == [(first, True)]
    talk.end()
    assert _holds(talk) == [(first, True), (talk.running, True)]
    talk.tell(Stalled(False))
    assert _holds(talk)[2:] == [(talk.running, False)]


def test_words_that_are_not_spoken_yet_are_not_held() -> None:
    talk = Talk()
    talk.tell(Stalled(True))
    response = talk.respond(None)
    assert _holds(talk) == []
    talk.tell(BrainSaid(response, "Hello there."))
    talk.tell(BrainDone(response))
    assert _holds(talk) == [(talk.running, True)]


def test_who_takes_nothing_for_a_minute_is_hung_up_on_and_the_engine_is_free() -> None:
    talk = Talk()
    talk.respond()
    clause = talk.running
    talk.tell(Stalled(True))
    talk.now += 60.0
    talk.tell(Tick())
    assert talk.session.state is SessionState.OPEN
    talk.now += 1.0
    effects = talk.tell(Tick())
    assert effects[-1] == HangUp()
    assert talk.cancelled == [clause]
    assert talk.session.state is SessionState.CLOSED
