"""Scope: words that the client streams in: spoken from the first clause on, flushed, cut, forgotten, ended."""

import pytest

from protocol.client_events import InputTextAppend, InputTextEnd, InputTextFlush, ResponseCancel, ResponseCreate
from protocol.objects import Generation, OutputAudio, OutputText, ResponseConfig
from protocol.server_events import AudioDelta, Error, InputTextFlushed, ResponseCreated, ResponseDone, TranscriptDelta
from realtime.session.messages import Drain, Tick
from realtime.session.shared import Limits
from realtime.session.text_streams import TextStreams
from tests.session.harness import Talk, content, generation, kind_of


def _opened(talk: Talk) -> str:
    """The response that was created last."""
    response: str = talk.got(ResponseCreated)[-1].response.id
    return response


def _spoken(talk: Talk) -> list[str]:
    return [clause.text for clause in talk.clauses.values()]


def test_the_first_words_open_a_response_and_its_first_clause_starts_before_the_end() -> None:
    talk = Talk()
    for token in "This is the first sentence of a long answer. And the".split(" "):
        talk.stream(token + " ")
    assert len(talk.got(ResponseCreated)) == 1
    assert _spoken(talk) == ["This is the first sentence of a long answer."]
    assert not talk.asked, "nobody else is asked for words"
    talk.stream("second one.")
    talk.end_stream()
    talk.run_engine()
    done = talk.done(_opened(talk))
    assert done.status == "completed"
    assert content(done.output[0]) == [
        OutputAudio(transcript="This is the first sentence of a long answer. And the second one.")
    ]


def test_the_clauses_of_a_stream_know_whether_more_may_follow() -> None:
    talk = Talk()
    talk.stream("This is the first sentence of it. And this is the last one of all.")
    assert talk.clauses[talk.running].more
    talk.end_stream()
    talk.run_engine()
    assert [clause.more for clause in talk.clauses.values()] == [True, False]
    assert len({clause.context_id for clause in talk.clauses.values()}) == 1


def test_a_flush_speaks_half_a_sentence_and_is_answered_after_its_audio() -> None:
    talk = Talk()
    talk.stream("Half a sentence")
    assert not talk.clauses
    talk.flush()
    assert _spoken(talk) == ["Half a sentence"]
    assert not talk.got(InputTextFlushed)
    talk.audio()
    talk.end()
    talk.deliver()
    spoken = (AudioDelta, TranscriptDelta, InputTextFlushed)
    assert [kind_of(event) for event in talk.events if isinstance(event, spoken)] == [
        *["response.output_audio_transcript.delta"] * 3,
        "response.output_audio.delta",
        "input_text.flushed",
    ]
    flushed = talk.got(InputTextFlushed)[0]
    assert (flushed.response_id, flushed.stream) == (_opened(talk), "")
    talk.stream(" and the rest of it.")
    talk.end_stream()
    talk.run_engine()
    assert content(talk.done(_opened(talk)).output[0]) == [
        OutputAudio(transcript="Half a sentence and the rest of it.")
    ]


def test_every_flush_is_answered_once_and_in_order() -> None:
    talk = Talk()
    talk.stream("One part of it")
    talk.flush()
    talk.flush()
    talk.stream(" and another part")
    talk.flush()
    seen = []
    while talk.at_engine:
        talk.audio()
        talk.end()
        talk.deliver()
        seen.append(len(talk.got(InputTextFlushed)))
    assert seen == [2, 3]
    talk.flush()
    assert len(talk.got(InputTextFlushed)) == 4, "with nothing to say it is answered at once"
    talk.end_stream()
    assert talk.done(_opened(talk)).status == "completed"


def test_a_flush_of_what_cannot_be_said_is_answered_too() -> None:
    talk = Talk()
    talk.stream("… ")
    talk.flush()
    assert len(talk.got(InputTextFlushed)) == 1
    assert not talk.clauses


def test_several_streams_speak_at_once_each_in_its_own_response() -> None:
    talk = Talk()
    talk.stream("The conversation's own words come here.")
    texts = {"left": "On the left there is a wall.", "right": "On the right there is a door."}
    responses = {name: talk.respond(None, conversation="none", voiced=generation(text_stream=name)) for name in texts}
    assert not talk.asked
    for left, right in zip(texts["left"], texts["right"].ljust(len(texts["left"])), strict=False):
        talk.stream(left, name="left")
        talk.stream(right, name="right")
    talk.stream(texts["right"][len(texts["left"]) :], name="right")
    for name in ("right", "left", ""):
        talk.end_stream(name)
    talk.run_engine()
    for name, text in texts.items():
        assert content(talk.done(responses[name]).output[0]) == [OutputAudio(transcript=text)]
        assert talk.done(responses[name]).conversation_id is None


def test_a_stream_that_has_a_response_cannot_have_another() -> None:
    talk = Talk()
    talk.respond(None, voiced=generation(text_stream="a"))
    named = ResponseConfig(conversation="none", voiced=Generation(text_stream="a"))
    talk.tell(ResponseCreate(event_id="e1", response=named))
    talk.deliver()
    assert (talk.error().code, talk.error().event_id) == ("text_stream_in_use", "e1")
    assert talk.error().param == "response.voiced.text_stream"
    talk.stream("Still the first one's words.", name="a")
    talk.end_stream("a")
    talk.run_engine()
    assert [done.response.status for done in talk.got(ResponseDone)] == ["completed"]


def test_a_name_is_free_again_after_the_end() -> None:
    talk = Talk()
    for _ in range(2):
        talk.stream("The same name once more.", name="a")
        talk.end_stream("a")
        talk.run_engine()
    assert [done.response.status for done in talk.got(ResponseDone)] == ["completed"] * 2


@pytest.mark.parametrize("event", [InputTextEnd(stream="x", event_id="e1"), InputTextFlush(stream="x", event_id="e1")])
def test_an_end_or_a_flush_without_words_before_is_an_error(event: InputTextEnd | InputTextFlush) -> None:
    talk = Talk()
    talk.tell(event)
    talk.deliver()
    assert (talk.error().code, talk.error().param, talk.error().event_id) == ("input_text_not_open", "stream", "e1")


def test_of_a_stream_whose_response_was_cancelled_the_rest_is_dropped_until_its_end() -> None:
    talk = Talk()
    talk.stream("A first sentence that is being said. And more")
    talk.tell(ResponseCancel())
    talk.deliver()
    since, clauses = len(talk.events), len(talk.clauses)
    talk.stream(" words that were on the way.", " And yet more of them.")
    talk.flush()
    talk.end_stream()
    assert len(talk.events) == since
    assert len(talk.clauses) == clauses
    talk.stream("The next stream of this name is heard.")
    talk.end_stream()
    talk.run_engine()
    assert talk.done(_opened(talk)).status == "completed"
    assert len(talk.got(ResponseDone)) == 2


def test_a_response_that_names_a_cut_stream_speaks_what_comes_of_it() -> None:
    talk = Talk()
    talk.stream("A first sentence that is being said.", name="a")
    talk.tell(ResponseCancel())
    response = talk.respond(None, voiced=generation(text_stream="a"))
    talk.stream("Here is the next one.", name="a")
    talk.end_stream("a")
    talk.run_engine()
    assert content(talk.done(response).output[0]) == [OutputAudio(transcript="Here is the next one.")]


def test_a_stream_that_is_refused_is_refused_once_and_its_rest_is_dropped_until_its_end() -> None:
    talk = Talk()
    own = talk.respond()
    for token in ("These ", "words ", "are late."):
        talk.tell(InputTextAppend(text=token, stream="a", event_id=token))
    talk.deliver()
    errors = talk.got(Error)
    assert [(e.error.code, e.error.event_id) for e in errors] == [
        ("conversation_already_has_active_response", "These ")
    ]
    talk.run_engine()
    talk.stream(" Nobody wants the second half alone.", name="a")
    talk.end_stream("a")
    assert [done.response.id for done in talk.got(ResponseDone)] == [own]
    talk.stream("A new stream.", name="a")
    assert len(talk.got(ResponseCreated)) == 2


def test_the_words_of_a_refused_response_do_not_open_one_in_the_conversation() -> None:
    talk = Talk(Limits(max_out_of_band=0))
    named = ResponseConfig(conversation="none", voiced=Generation(text_stream="a"))
    talk.tell(ResponseCreate(response=named))
    talk.stream("Nobody is to hear this.", name="a")
    talk.end_stream("a")
    assert [error.error.code for error in talk.got(Error)] == ["too_many_responses"]
    assert not talk.clauses


def test_words_that_stop_in_the_middle_of_a_sentence_are_spoken_after_a_while() -> None:
    talk = Talk(Limits(text_patience_s=1.5))
    talk.stream("Words that stop without a rea")
    talk.now += 1.5
    talk.tell(Tick())
    assert not talk.clauses
    talk.now += 0.1
    talk.tell(Tick())
    assert _spoken(talk) == ["Words that stop without a"], "the last word may still be growing"
    talk.run_engine()
    talk.stream("son.")
    talk.end_stream()
    talk.run_engine()
    assert _spoken(talk) == ["Words that stop without a", "reason."]


def test_a_response_may_ask_for_more_or_less_patience() -> None:
    talk = Talk(Limits(text_patience_s=1.5))
    talk.respond(None, voiced=generation(text_stream="a", text_patience_s=0.2))
    talk.stream("Half a sentence of ", name="a")
    talk.now += 0.3
    talk.tell(Tick())
    assert _spoken(talk) == ["Half a sentence of"]


def test_patience_does_not_interrupt_what_is_being_spoken() -> None:
    talk = Talk(Limits(text_patience_s=1.5))
    talk.stream("A whole sentence is being said. Then half a")
    talk.now += 30.0
    talk.tell(Tick())
    assert len(talk.clauses) == 1
    talk.audio()
    talk.end()
    talk.tell(Tick())
    assert _spoken(talk)[1:] == ["Then half"]


def test_a_released_clause_is_no_longer_than_any_other() -> None:
    talk = Talk(Limits(text_patience_s=1.5), max_clause_chars=40)
    talk.stream("these words have no end, and they go on to")
    talk.stream(" forty-")
    for _ in range(3):
        talk.now += 2.0
        talk.tell(Tick())
        talk.run_engine()
    assert len(talk.clauses) > 1
    assert all(len(text) <= 40 for text in _spoken(talk))


def test_a_stream_that_its_client_has_forgotten_ends() -> None:
    talk = Talk(Limits(text_idle_s=60.0))
    talk.stream("Nobody ever ends this. ")
    talk.run_engine()
    talk.now += 60.0
    talk.tell(Tick())
    assert talk.session.live is not None
    talk.now += 0.1
    talk.tell(Tick())
    talk.run_engine()
    done = talk.done(_opened(talk))
    assert (done.status, content(done.output[0])) == ("completed", [OutputAudio(transcript="Nobody ever ends this. ")])


def test_empty_text_opens_the_response_keeps_it_alive_and_announces_no_message() -> None:
    talk = Talk(Limits(text_idle_s=60.0))
    talk.stream("", name="a")
    assert talk.kinds()[2:] == ["response.created", "rate_limits.updated"]
    for _ in range(5):
        talk.now += 50.0
        talk.stream("", name="a")
        talk.tell(Tick())
    assert talk.session.live is not None
    talk.end_stream("a")
    assert talk.done(_opened(talk)).output == []


def test_a_stream_holds_so_many_characters_that_are_not_spoken_and_no_more() -> None:
    talk = Talk(Limits(max_item_chars=100))
    talk.stream("This sentence is spoken at once, so it does not count. ")
    talk.stream("x" * 60)
    talk.tell(InputTextAppend(text="y" * 50, event_id="e1"))
    talk.deliver()
    assert (talk.error().code, talk.error().param, talk.error().event_id) == ("string_above_max_length", "text", "e1")
    talk.stream("y" * 40)
    assert len(talk.got(Error)) == 1


def test_of_the_streams_that_were_cut_the_newest_are_remembered() -> None:
    streams = TextStreams()
    for number in range(300):
        streams.open(f"s{number}", "resp")
        streams.cut(f"s{number}", "resp")
    remembered = [number for number in range(300) if streams.is_cut(f"s{number}")]
    assert remembered == list(range(300 - 256, 300))


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_text_that_is_never_spoken_is_bounded_as_well(modality: str) -> None:
    talk = Talk(Limits(max_item_chars=100))
    talk.update(output_modalities=[modality])
    for _ in range(30):
        talk.stream("…… \n")
    assert {error.error.code for error in talk.got(Error)} == {"string_above_max_length"}
    (live,) = talk.session.responses
    assert live.held <= 100


def test_a_stream_can_be_written_instead_of_spoken() -> None:
    talk = Talk()
    response = talk.respond(None, output_modalities=["text"], voiced=generation(text_stream="a"))
    talk.stream("Some ", "words.", name="a")
    talk.flush("a")
    assert len(talk.got(InputTextFlushed)) == 1
    talk.end_stream("a")
    assert content(talk.done(response).output[0]) == [OutputText("Some words.")]
    assert not talk.clauses


def test_a_draining_session_finishes_its_stream_and_opens_no_other() -> None:
    talk = Talk()
    talk.stream("This sentence is on its way.", name="a")
    talk.tell(Drain())
    for _ in range(2):
        talk.stream("This one is not.", name="b")
    assert [error.error.code for error in talk.got(Error)] == ["server_draining"]
    talk.stream(" And this is its end.", name="a")
    talk.end_stream("a")
    talk.run_engine()
    assert talk.done(_opened(talk)).status == "completed"
    assert talk.closed is not None
