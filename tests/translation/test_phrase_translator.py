"""Scope: the built-in phrase translator: whole phrases or nothing, whatever pieces the words come in."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.translation.phrases import PHRASES, TARGETS
from realtime.translation.translator import AudioPiece, PhraseTranslator, Rendered, Transcribed, Words

QUIET = AudioPiece(bytes(9600), 0)


def translated(*pieces: str | AudioPiece, target: str = "de") -> list[Transcribed | Rendered]:
    async def source() -> AsyncIterator[AudioPiece | Words]:
        for piece in pieces:
            yield Words(piece, 0) if isinstance(piece, str) else piece

    async def run() -> list[Transcribed | Rendered]:
        return [told async for told in PhraseTranslator().translate(source(), target)]

    return asyncio.run(run())


def rendered(*pieces: str | AudioPiece, target: str = "de") -> list[Rendered]:
    return [told for told in translated(*pieces, target=target) if isinstance(told, Rendered)]


def text(*pieces: str | AudioPiece, target: str = "de") -> str:
    return "".join(told.text for told in rendered(*pieces, target=target)).strip()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("de", "Guten Morgen, wie geht es Ihnen? Vielen Dank!"),
        ("es", "Buenos días, ¿cómo está usted? ¡Muchas gracias!"),
        ("fr", "Bonjour, comment allez-vous? Merci beaucoup!"),
    ],
)
def test_phrases_are_translated_with_their_punctuation(target: str, expected: str) -> None:
    assert text("Good morning, how are you? Thank you very much!", target=target) == expected


def test_every_phrase_has_a_translation_in_every_language() -> None:
    tables = [set(PHRASES[target]) for target in TARGETS]
    assert all(table == tables[0] for table in tables)
    assert len(tables[0]) >= 40
    for target, english in itertools.product(TARGETS, tables[0]):
        assert PHRASES[target][english]
        assert [told.translated for told in rendered(f"{english}.", target=target)] == [True]


def test_a_phrase_that_is_not_known_is_given_back_whole_and_says_so() -> None:
    told = rendered("There is no ferry today. Thank you.")
    assert told == [
        Rendered("There is no ferry today. ", translated=False, complete=True),
        Rendered("Danke. ", complete=True),
    ]


def test_case_quotes_and_contractions_do_not_matter() -> None:
    assert text('"WHERE’S the station?" I don\'t understand.') == "Wo ist der Bahnhof? Ich verstehe nicht."


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 70), max_size=8))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    said = "Good evening, where is the hotel? I am sorry. Can you help me? Thank you."
    ends = sorted({0, *cuts, len(said)})
    pieces = [said[begin:end] for begin, end in itertools.pairwise(ends)]
    told = translated(*pieces)
    assert "".join(one.text for one in told if isinstance(one, Transcribed)) == said
    whole = "Guten Abend, wo ist das Hotel? Es tut mir leid. Können Sie mir helfen? Danke."
    assert "".join(one.text for one in told if isinstance(one, Rendered)).strip() == whole


def test_a_phrase_is_over_after_two_seconds_without_a_word() -> None:
    assert rendered("Good night", *[QUIET] * 9, " everybody.") == [
        Rendered("Good night everybody. ", translated=False, complete=True)
    ]
    assert rendered("Good night", *[QUIET] * 10, " everybody.")[:2] == [
        Rendered("Gute Nacht "),
        Rendered("", complete=True),
    ]


def test_a_comma_ends_a_phrase_and_not_the_sentence() -> None:
    assert [told.complete for told in rendered("Yes, of course.")] == [False, True]
    assert [told.complete for told in rendered("Yes,")] == [False, True]


def test_words_that_never_end_a_phrase_are_not_kept_for_ever() -> None:
    told = rendered("lighthouse " * 400)
    assert len(told) >= 2
    assert not any(one.translated for one in told if one.text)


def test_nothing_said_is_nothing_translated() -> None:
    assert rendered(" ", "...", *[QUIET] * 30, "\n") == []
