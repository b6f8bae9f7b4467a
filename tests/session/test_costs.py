"""Scope: what one cheap message can make others do: the work grows no faster than the message, and has an end.

Growth is the ratio of two runs in one process, with a wide margin: what is ruled out is a hundred times the work for
ten times the text.
"""

import time
from collections.abc import Callable

import pytest

from protocol.client_events import ResponseCreate
from protocol.objects import InputText, ItemReference, NewMessage, OutputAudio, ResponseConfig
from protocol.server_events import Error, InputTextFlushed, ResponseDone
from realtime.session.clauses import ClauseSplitter
from realtime.session.playout import SpokenClause
from tests.session.harness import RATE, VOICES, Talk, voice

SHORT, TIMES = 2_000, 10


def _clauses(text: str) -> None:
    splitter = ClauseSplitter()
    splitter.push(text)
    splitter.flush()


def _seconds(work: Callable[[str], object], text: str) -> float:
    def once() -> float:
        began = time.perf_counter()
        work(text)
        return time.perf_counter() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    ("work", "piece"),
    [
        (_clauses, "."),
        (_clauses, '."'),
        (_clauses, "a b, "),
        (_clauses, "[SPEAKER0]"),
        (_clauses, " "),
        (lambda text: SpokenClause(text, 0, 0), " "),
        (lambda text: SpokenClause(text, 0, 0), "a "),
    ],
    ids=["dots", "quotes", "pauses", "speakers", "spaces", "a transcript of spaces", "a transcript of words"],
)
def test_text_of_any_kind_takes_time_in_step_with_its_length(work: Callable[[str], object], piece: str) -> None:
    short = ("a" + piece * SHORT)[:SHORT]
    long = ("a" + piece * SHORT * TIMES)[: SHORT * TIMES]
    assert _seconds(work, long) < 5 * TIMES * _seconds(work, short) + 0.05


def test_a_clip_referred_to_again_and_again_is_refused() -> None:
    talk = Talk()
    talk.item("assistant", OutputAudio(transcript="My words.", audio=bytes(2 * RATE * 20)), item_id="clip")
    said = NewMessage("user", [InputText("Hello.")])
    references = [ItemReference("clip")] * 3
    talk.tell(ResponseCreate(response=ResponseConfig(conversation="none", input=[*references, said])))
    talk.deliver()
    assert talk.error().param == "response.input[1].id"
    assert not talk.session.responses


def test_clips_in_the_input_of_a_response_have_the_limit_of_a_conversation() -> None:
    talk = Talk()
    clip = NewMessage("assistant", [OutputAudio(transcript="My words.", audio=bytes(2 * RATE * 29))])
    talk.tell(ResponseCreate(response=ResponseConfig(conversation="none", input=[clip] * 5)))
    talk.deliver()
    assert (talk.error().code, talk.error().param) == ("too_much_audio", "response.input[4]")


def test_a_voice_that_is_deleted_while_it_speaks_goes_on_to_the_end_and_speaks_no_other_response() -> None:
    voices = dict(VOICES)
    talk = Talk(voices=voices)
    talk.update(audio=voice("amy"))
    response = talk.respond("The first sentence is long enough. The second one is long enough as well. So is this.")
    del voices["amy"]
    before = talk.clauses[talk.running].voicing
    talk.audio()
    talk.end()
    assert talk.clauses[talk.running].voicing == before
    talk.run_engine()
    assert talk.done(response).status == "completed"
    assert not talk.got(Error)
    talk.tell(ResponseCreate())
    talk.deliver()
    assert "deleted" in talk.error().message
    talk.update(audio=voice("bob"))
    assert talk.speak("Somebody else goes on.").status == "completed"


def test_a_flush_is_answered_also_when_the_clients_limit_ends_the_stream() -> None:
    talk = Talk()
    talk.update(max_output_tokens=5)
    talk.stream("This is the first sentence, quite long. And the next one is here too, also long. ", name="left")
    talk.flush("left")
    talk.audio()
    talk.end("length", frames=5)
    talk.deliver()
    assert len(talk.got(InputTextFlushed)) == 1
    assert [event.response.status for event in talk.got(ResponseDone)] == ["incomplete"]
