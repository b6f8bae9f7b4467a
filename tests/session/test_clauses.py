"""Scope: cutting text into clauses: nothing lost, nothing too long, nobody speaks another's words."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.session.clauses import Clause, ClauseSplitter

WORDS = st.lists(
    st.sampled_from(
        [
            "Hello there.",
            "Dr. Smith",
            "3.14",
            "really?!",
            "one, two; three",
            "[SPEAKER0]",
            "[SPEAKER12]",
            "\n\n",
            "x" * 70,
            "…",
            "你好。再见！",
            '"Quoted."',
            "e.g. this",
            "   ",
            "short",
        ]
    ),
    max_size=30,
).map(" ".join)
TEXT = st.one_of(WORDS, st.text(max_size=300), st.text(alphabet=" .,!?\n[]SPEAKER019ab。，", max_size=300))


def _split(pieces: list[str], **bounds: int) -> list[Clause]:
    splitter = ClauseSplitter(**bounds)
    clauses = [clause for piece in pieces for clause in splitter.push(piece)]
    return clauses + splitter.flush()


def _spoken(text: str, **bounds: int) -> list[str]:
    return [clause.spoken for clause in _split([text], **bounds)]


@settings(max_examples=1500, deadline=None)
@given(text=TEXT, data=st.data(), bound=st.sampled_from([20, 60, 240]))
def test_joined_the_clauses_are_the_text_and_none_is_too_long(text: str, data: st.DataObject, bound: int) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    clauses = _split(pieces, max_chars=bound)
    assert "".join(clause.text for clause in clauses) == text
    for clause in clauses:
        assert clause.text
        # white space after the last word is not spoken and is not counted
        assert len(clause.text.strip()) <= bound
        assert clause.spoken == clause.spoken.strip()


@settings(max_examples=600, deadline=None)
@given(text=TEXT, data=st.data())
def test_released_at_any_time_the_words_stay_whole_in_order_and_within_bounds(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    splitter, clauses = ClauseSplitter(max_chars=60), []
    for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True):
        clauses += splitter.push(text[a:b])
        before, released = splitter.pending, splitter.release()
        assert splitter.pending == before - sum(len(clause.text) for clause in released)
        clauses += released
    clauses += splitter.flush()
    assert "".join(clause.text for clause in clauses) == text
    assert all(len(clause.text.strip()) <= 60 for clause in clauses)


def test_a_last_word_that_may_still_grow_is_not_released() -> None:
    splitter = ClauseSplitter()
    splitter.push("Half a sen")
    assert [clause.text for clause in splitter.release()] == ["Half a "]
    assert splitter.release() == []
    splitter.push("tence ")
    assert [clause.text for clause in splitter.release()] == ["sentence "]


@settings(max_examples=800, deadline=None)
@given(text=TEXT)
def test_every_clause_carries_its_speaker_and_nobody_elses_words(text: str) -> None:
    speaker = ""
    for clause in _split([text], max_chars=60):
        tags = re.findall(r"\[SPEAKER\d{1,2}\]", clause.text)
        assert len(tags) <= 1
        if tags:
            assert clause.text.strip().startswith(tags[0])
            speaker = tags[0]
        if clause.spoken and speaker:
            assert clause.spoken.startswith(speaker)
        assert clause.spoken.removeprefix(speaker).strip() == clause.text.strip().removeprefix(speaker).strip()


@settings(max_examples=800, deadline=None)
@given(text=WORDS)
def test_written_letter_by_letter_or_at_once_the_clauses_are_the_same(text: str) -> None:
    assert _split(list(text), max_chars=60) == _split([text], max_chars=60)


@pytest.mark.parametrize(
    "text",
    [
        "I met Dr. Smith and Mrs. Jones at the old harbour today",
        "It costs 3.50 in the shop at the corner of the street",
        "Pi is 3.14159 and e is 2.71828 and that is all of it",
        "See e.g. the lighthouse, i.e. the tall white tower there",
        "Written by J. R. R. Tolkien in the year of the rabbit",
    ],
)
def test_abbreviations_and_decimals_are_not_cut(text: str) -> None:
    assert _spoken(text) == [text]


def test_sentences_are_cut_and_short_ones_are_joined() -> None:
    assert _spoken("First one here. Second sentence comes now. Yes. No. And a longer one follows after them.") == [
        "First one here.",
        "Second sentence comes now. Yes. No. And a longer one follows after them.",
    ]


def test_the_first_clause_is_there_before_the_text_is_complete() -> None:
    splitter = ClauseSplitter()
    assert splitter.push("A first sentence.") == []
    assert [clause.spoken for clause in splitter.push(" And")] == ["A first sentence."]


def test_long_sentences_are_cut_at_a_pause_or_a_space() -> None:
    spoken = _spoken("one two three four, five six seven eight nine ten eleven twelve thirteen", max_chars=40)
    assert spoken == ["one two three four,", "five six seven eight nine ten eleven", "twelve thirteen"]


def test_a_bound_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        ClauseSplitter(max_chars=19)
