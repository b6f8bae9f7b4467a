"""Scope: the transcript as it is told: word by word, in step with the audio, with times that only go forward."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.objects import OutputAudio
from protocol.server_events import AudioDelta, TranscriptDelta
from tests.session.harness import RATE, Talk, content

SENTENCES = st.lists(
    st.sampled_from(
        [
            "Hello there. ",
            "A sentence of several words is said here. ",
            "[SPEAKER1] It is my turn now. ",
            "Yes. ",
            "… ",
            "Incomprehensibilities! ",
            "你好。",
        ]
    ),
    min_size=1,
    max_size=8,
).map("".join)


def _events(talk: Talk, response: str) -> list[Any]:
    told = (AudioDelta, TranscriptDelta)
    return [event for event in talk.events if isinstance(event, told) and event.response_id == response]


@settings(max_examples=150, deadline=None)
@given(text=SENTENCES, data=st.data())
def test_words_are_told_before_their_audio_in_order_and_joined_they_are_the_text(
    text: str, data: st.DataObject
) -> None:
    talk = Talk()
    response = talk.respond(text)
    while talk.at_engine:
        for seconds in data.draw(st.lists(st.sampled_from([0.02, 0.12, 0.5, 3.0]), max_size=12)):
            talk.audio(seconds)
        talk.end()
    talk.deliver()
    words = talk.words_of(response)
    assert "".join(word.delta for word in words) == text
    assert content(talk.done(response).output[0]) == [OutputAudio(transcript=text)]
    starts = [word.start_time for word in words]
    assert starts == sorted(starts)  # type: ignore[type-var]
    heard = 0
    for event in _events(talk, response):
        if isinstance(event, AudioDelta):
            heard += len(event.delta) // 2
        else:
            assert event.start_time <= event.end_time
            following = heard / RATE + 3.0  # the longest piece of audio above
            assert event.start_time <= following + 1e-3, "words long before their audio"
    assert all(start <= heard / RATE + 1e-3 for start in starts)  # type: ignore[operator]


def test_a_word_is_told_right_before_the_audio_it_begins_in() -> None:
    talk = Talk()
    response = talk.respond("aaa bbb ccc ddd eee.")  # 16 letters: a little more than a second
    for _ in range(12):
        talk.audio(0.1)
    talk.end()
    talk.deliver()
    pieces = 0
    for event in _events(talk, response):
        if isinstance(event, AudioDelta):
            pieces += 1
        else:
            assert int(event.start_time * 10 + 1e-6) == pieces, "in the piece of audio that follows"


def test_words_are_not_told_before_there_is_audio() -> None:
    talk = Talk()
    response = talk.respond("Hello there.")
    talk.deliver()
    assert not talk.words_of(response)
    talk.audio(0.02)
    talk.deliver()
    assert [word.delta for word in talk.words_of(response)] == ["Hello"]


def test_a_clause_that_ends_without_audio_has_its_words_all_the_same() -> None:
    talk = Talk()
    response = talk.respond("Hello there.")
    talk.end()
    talk.deliver()
    assert content(talk.done(response).output[0]) == [OutputAudio(transcript="Hello there.")]
    assert [(word.start_time, word.end_time) for word in talk.words_of(response)] == [(0.0, 0.0)] * 2


@pytest.mark.parametrize("conversation", ["auto", "none"])
def test_each_response_counts_its_time_from_its_own_beginning(conversation: str) -> None:
    talk = Talk()
    talk.speak(seconds=2.0)
    response = talk.speak(conversation=conversation)
    assert talk.words_of(response.id)[0].start_time == 0.0
