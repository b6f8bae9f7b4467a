"""Scope: the past of a context, and that nothing of it grows without bound."""

import numpy as np

from realtime.engine.contexts import Contexts
from realtime.engine.models.speech_model import Spoken


def _contexts(max_contexts: int = 3, max_utterances: int = 4, max_rows: int = 100) -> Contexts:
    return Contexts(max_contexts=max_contexts, max_utterances=max_utterances, max_rows=max_rows)


def _spoken(text: str, rows: int = 10) -> Spoken:
    return Spoken(text, np.zeros((rows, 8), np.int64))


def _texts(past: list[Spoken]) -> list[str]:
    return [spoken.text for spoken in past]


def test_a_context_remembers_what_it_spoke_in_order_and_another_one_does_not() -> None:
    contexts = _contexts()
    contexts.add("a", _spoken("one"))
    contexts.add("b", _spoken("other"))
    contexts.add("a", _spoken("two"))
    assert _texts(contexts.past("a")) == ["one", "two"]
    assert _texts(contexts.past("b")) == ["other"]
    assert contexts.past("") == contexts.past("unknown") == []
    assert len(contexts) == 2


def test_the_older_half_goes_when_there_are_too_many_utterances() -> None:
    contexts = _contexts(max_utterances=4)
    for number in range(5):
        contexts.add("a", _spoken(str(number)))
    assert _texts(contexts.past("a")) == ["3", "4"]


def test_the_older_half_goes_when_there_are_too_many_rows() -> None:
    contexts = _contexts(max_rows=100)
    for number in range(3):
        contexts.add("a", _spoken(str(number), rows=40))
    assert _texts(contexts.past("a")) == ["2"]


def test_an_utterance_longer_than_all_the_past_may_be_is_not_kept() -> None:
    contexts = _contexts(max_rows=100)
    contexts.add("a", _spoken("long", rows=101))
    assert contexts.past("a") == []


def test_the_context_that_spoke_longest_ago_is_forgotten_first() -> None:
    contexts = _contexts(max_contexts=2)
    for context in ("a", "b", "a", "c"):
        contexts.add(context, _spoken(context))
    assert contexts.past("b") == []
    assert len(contexts) == 2
    assert _texts(contexts.past("a")) == ["a", "a"]


def test_a_past_is_shortened_by_its_older_half_until_nothing_is_left() -> None:
    contexts = _contexts()
    for number in range(3):
        contexts.add("a", _spoken(str(number)))
    assert [_texts(contexts.shorten("a")) for _ in range(3)] == [["2"], [], []]
    assert contexts.shorten("unknown") == []


def test_a_context_that_is_dropped_is_forgotten_and_dropping_it_again_is_fine() -> None:
    contexts = _contexts()
    contexts.add("a", _spoken("one"))
    contexts.drop("a")
    contexts.drop("a")
    assert contexts.past("a") == []
    assert len(contexts) == 0


def test_what_a_caller_does_to_the_past_it_was_given_changes_nothing() -> None:
    contexts = _contexts()
    contexts.add("a", _spoken("one"))
    contexts.past("a").clear()
    contexts.shorten("unknown").append(_spoken("two"))
    assert _texts(contexts.past("a")) == ["one"]
    assert contexts.past("unknown") == []
