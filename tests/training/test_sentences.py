"""Scope: the text that is trained on, and that what is measured is not in it."""

import re
from itertools import islice

from realtime.text import dictionary_words, normalise
from training.prepare import bare, sentences
from training.sentences import MAX_CHARS, Writer, held_out


def test_the_writer_repeats_itself_with_its_seed_only() -> None:
    words = dictionary_words()[:500]
    first, again, other = (list(islice(Writer(seed, words), 50)) for seed in (1, 1, 2))
    assert first == again != other


def test_clauses_are_short_plain_sentences() -> None:
    for text in sentences(400, 0):
        assert 2 < len(text) <= MAX_CHARS
        assert re.fullmatch(r"[A-Z][A-Za-z,.' ]*[.?!]", text), text


def test_no_held_out_sentence_is_trained_on_in_any_spelling() -> None:
    tests = {bare(normalise(text)) for texts in held_out().values() for text in texts}
    assert len(tests) == 100
    assert tests.isdisjoint({bare(text) for text in sentences(3000, 5)})
