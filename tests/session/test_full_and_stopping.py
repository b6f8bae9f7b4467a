"""Scope: what a session does at its bounds and when its server stops: it says so, and goes on as far as it can."""

from protocol.client_events import ItemCreate
from protocol.objects import NewMessage, OutputAudio
from protocol.server_events import Error, InputCommitted, InputTimeout
from realtime.agent.brain import Said
from realtime.session.messages import Stop
from tests.session.harness import Talk
from tests.session.test_turns_of_a_session import PATIENCE, Ear

MOST_ITEMS = 512


def _codes(talk: Talk) -> list[str | None]:
    return [event.error.code for event in talk.got(Error)]


def test_a_turn_that_takes_the_last_place_is_kept_and_its_answer_refused() -> None:
    ear = Ear(runtime={"answers_turns": True})
    for _ in range(MOST_ITEMS - 1):
        ear.talk.item("user", "Hello.")
    ear.hear("##" + "." * PATIENCE)
    assert len(ear.talk.got(InputCommitted)) == 1
    assert _codes(ear.talk) == ["too_many_items"]
    assert ear.talk.session.live is None


def test_nobody_is_waited_for_while_the_next_response_is_being_made() -> None:
    ear = Ear(idle_timeout_ms=5000)
    ear.talk.speak("Hello there.", 1.0)
    ear.talk.respond("How are you?")
    ear.wait(30.0)
    assert ear.talk.got(InputTimeout) == []
    ear.talk.run_engine(1.0)
    ear.wait(7.0)
    assert len(ear.talk.got(InputTimeout)) == 1


def test_a_session_whose_server_stops_ends_what_it_says_and_closes_with_a_restart() -> None:
    talk = Talk()
    response = talk.respond()
    talk.audio()
    talk.tell(Stop())
    talk.deliver()
    assert talk.done(response).status == "cancelled"
    assert talk.closed is not None
    assert talk.closed.code == 1012


def test_words_of_the_assistant_may_come_as_the_transcript_of_speech_that_is_not_there() -> None:
    talk = Talk()
    talk.tell(ItemCreate(item=NewMessage("assistant", [OutputAudio(transcript="Good evening.")])))
    talk.deliver()
    talk.speak()
    first = talk.asked[-1].dialogue.entries[0]
    assert isinstance(first, Said)
    assert (first.text, first.audio) == ("Good evening.", None)
