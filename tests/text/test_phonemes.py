"""Scope: text in the phone notation that the pocket checkpoint was trained on."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.text import to_phonemes
from realtime.text.dictionary import entries
from realtime.text.letters import sound_out
from realtime.text.symbols import PHONES, STRESS, VOWELS

PHONE = "[" + "".join(PHONES.values()) + "]"
VOWEL = "[" + "".join(PHONES[name] for name in VOWELS) + "]"
WORD = f"(?:{STRESS}(?={VOWEL})|{PHONE})+"
SENTENCE = rf"{WORD}(?:,? {WORD})*[.?!]"
TEXT = re.compile(
    rf"(?:\[SPEAKER\d{{1,2}}\] )?{SENTENCE}(?: {SENTENCE})*(?:\n\[SPEAKER\d{{1,2}}\] {SENTENCE}(?: {SENTENCE})*)*"
)


@pytest.mark.parametrize(
    ("text", "notation"),
    [
        ("Hello, world!", "həlˈO, wˈɝld!"),
        ("The apple is on the table.", "ði ˈæpəl ˈɪz ˈɑn ðə tˈAbəl."),
        ("She has 2 cats", "ʃˈi hˈæz tˈu kˈæts."),
        ("Who? Me.", "hˈu? mˈi."),
        ("[SPEAKER0] Hi. [SPEAKER1] No!", "[SPEAKER0] hˈI.\n[SPEAKER1] nˈO!"),
        ("one\ntwo", "wˈʌn tˈu."),
        ("One.\nTwo", "wˈʌn. tˈu."),
        ("(a) b — c; d: e", "ə, bˈi, sˈi, dˈi, ˈi."),
        ("the FBI, a TV", "ði ˈɛf bˈi ˈI, ə tˈi vˈi."),
        ("here -- and - there", "hˈɪɹ, ˈænd, ðˈɛɹ."),
        ("GPUs", "ʤˈi pˈi jˈuz."),
        ("...", ""),
        ("", ""),
        ("👍", ""),
    ],
)
def test_notation(text: str, notation: str) -> None:
    assert to_phonemes(text) == notation


@pytest.mark.parametrize(
    ("symbols", "notation"),
    [("həlˈO wˈɝld", "həlˈO wˈɝld."), ("ˈpɛn", "pˈɛn."), ("bˈ", "b."), ("ˈˈɛ", "ˈɛ."), ("ˈ", ""), ("pɛn ˈ.", "pɛn.")],
)
def test_symbols_stay_and_a_stress_stands_before_its_vowel(symbols: str, notation: str) -> None:
    assert to_phonemes(symbols) == notation


def test_the_same_spelling_sounds_as_its_place_asks() -> None:
    assert to_phonemes("Can I read it?") != to_phonemes("I have read it?").replace("hˈæv ", "")
    assert "jus" in to_phonemes("the use of it") and "jˈuz" in to_phonemes("I use it")


@pytest.mark.parametrize("word", ["flibbertigibbet", "zorblax", "codecs", "namespaces", "unhappiest", "x" * 300 + "a"])
def test_unknown_words_have_a_sound(word: str) -> None:
    assert word not in entries()
    assert TEXT.fullmatch(to_phonemes(word))


def test_words_made_of_known_ones_sound_like_them() -> None:
    assert to_phonemes("namespace") == to_phonemes("name")[:-1] + to_phonemes("space")
    assert to_phonemes("tuples") == to_phonemes("tuple")[:-1] + "z."


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("batching", "batch|ɪŋ"),
        ("friended", "friend|ɪd"),
        ("bottlenecked", "bottleneck|t"),
        ("spammed", "spam|d"),
        ("refactors", "refactor|z"),
        ("flibbertigibbet's", "flibbertigibbet|s"),
        ("zorblax's", "zorblax|əz"),
        ("zorblan't", "zorblan|t"),
        ("zorblak't", "zorblak|ət"),
        ("zorblan'll", "zorblan|l"),
        ("clickable", "click|əbəl"),
    ],
)
def test_a_word_with_an_ending_sounds_like_the_word_and_the_ending(word: str, parts: str) -> None:
    stem, _, ending = parts.partition("|")
    assert word not in entries()
    assert to_phonemes(word) == to_phonemes(stem)[:-1] + ending + "."


def test_a_prefix_sounds_before_the_word_it_stands_before() -> None:
    assert "unfollowed" not in entries()
    assert to_phonemes("unfollowed") == "ən" + to_phonemes("followed")


def test_an_accent_belongs_to_the_letter_before_it() -> None:
    assert to_phonemes("x\u0301.") == to_phonemes("x.")


def test_sounding_out_follows_the_letters() -> None:
    assert sound_out("bim").replace(STRESS, "") == "bɪm"
    assert STRESS in sound_out("strand")


@pytest.mark.parametrize(
    "text", ["привет", "Ελλάδα", "こんにちは", "안녕하세요", "你好世界", "naïve café", "∑ ≈ ∞ → ☭ ♫", "𝔘𝔫𝔦", "٣"]
)
def test_every_script_is_spoken(text: str) -> None:
    assert TEXT.fullmatch(to_phonemes(text)), to_phonemes(text)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=120))
def test_any_string_gives_the_notation_or_nothing(text: str) -> None:
    notation = to_phonemes(text)
    assert not notation or TEXT.fullmatch(notation), notation


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("abcdeinorst THE.,!?'-[SPEAKR01]\n0159$%"), max_size=120))
def test_english_looking_strings_give_the_notation(text: str) -> None:
    notation = to_phonemes(text)
    assert not notation or TEXT.fullmatch(notation), notation
