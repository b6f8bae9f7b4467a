"""Scope: texts that were heard, texts that loop, texts that were made up."""

import pytest

from realtime.recognition.guard import compression_ratio, made_up, needs_longer_context, says_again, surely_silent

SENTENCE = list(range(20))


@pytest.mark.parametrize(
    ("tokens", "again"),
    [
        ([], False),
        (SENTENCE, False),
        ([5, 5], False),
        ([1, 2, 3, 1, 2, 3], False),
        ([1, 2, 3, 4, 1, 2, 3, 4], True),
        ([1, 2, 3, 1, 2, 3, 1, 2, 3], True),
        ([9, 7, 7, 7, 7, 7], True),
        ([1, 2, 3, 4, 1, 2, 3, 4, 5], False),
        (SENTENCE + SENTENCE, True),
    ],
)
def test_an_end_that_repeats_four_tokens_in_all_says_itself_again(tokens: list[int], again: bool) -> None:
    assert says_again(tokens) is again


@pytest.mark.parametrize(
    ("tokens", "text", "logprob", "no_speech", "longer"),
    [
        (SENTENCE, "He was not an ill-disposed young man.", -0.4, 0.1, False),
        (SENTENCE, "He was not an ill-disposed young man.", -1.1, 0.1, True),
        (SENTENCE, "Marque el asterisco para anular este mensaje.", -0.92, 0.55, True),
        (SENTENCE, "a very long day, a very long day, a very long day, a very long day", -0.4, 0.1, True),
        ([1, 2, 3, 4, 1, 2, 3, 4], "ten of clubs, ten of clubs", -0.4, 0.1, True),
    ],
)
def test_loops_and_doubts_ask_for_a_longer_context(
    tokens: list[int], text: str, logprob: float, no_speech: float, longer: bool
) -> None:
    assert needs_longer_context(tokens, text, logprob, no_speech) is longer


def test_a_long_text_compresses_by_itself_and_is_no_loop_for_that() -> None:
    text = (
        "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do for "
        "them. He was not an ill-disposed young man, unless to be rather cold-hearted and rather selfish is to be "
        "ill-disposed. Had he married a more amiable woman, he might have been made still more respectable than he "
        "was; he might even have been made amiable himself."
    )
    assert compression_ratio(text) > 1.6
    assert not needs_longer_context(SENTENCE, text, -0.2, 0.0)
    assert needs_longer_context(SENTENCE, text * 2, -0.2, 0.0)


@pytest.mark.parametrize(
    ("text", "logprob", "no_speech", "why"),
    [
        ("Five five.", -1.2, 0.2, ""),
        ("You", -0.3, 0.9, ""),
        ("You", -0.6, 0.7, "no speech"),
        ("We're in the...", -1.6, 0.55, "no speech"),
        ("Five five.", -0.8, 0.55, ""),
        ("", -0.1, 0.0, "no words"),
        ("... ♪ —", -0.1, 0.0, "no words"),
        ("Thank you.", -2.1, 0.1, "cannot be understood"),
        ("la " * 40, -0.2, 0.1, "repeats itself"),
        ("五", -0.2, 0.1, ""),
    ],
)
def test_what_was_made_up_is_told_from_what_was_heard(text: str, logprob: float, no_speech: float, why: str) -> None:
    found = made_up(text, logprob, no_speech)
    assert why in found and bool(found) is bool(why)
    assert not found or found.endswith(".")


def test_silence_is_sure_where_no_speech_is_likely_and_the_text_is_doubted() -> None:
    assert surely_silent(-1.3, 0.95)
    assert not surely_silent(-0.3, 0.95)
    assert not surely_silent(-1.3, 0.7)


def test_nothing_compresses_to_nothing() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio("a" * 100) > 5 > 1.5 > compression_ratio("He was not an ill-disposed young man.")
