"""Scope: written text made speakable while it streams, the same however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.agent.speakable import CODE_LEFT_OUT, Speakable


def spoken(*pieces: str) -> str:
    """What is said of a text that comes in these pieces."""
    speech = Speakable()
    return "".join([*map(speech.push, pieces), speech.flush()])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Plain words, and a stop. Then more!", "Plain words, and a stop. Then more!"),
        ("This is **very** *good*, and ***so*** on.", "This is very good, and so on."),
        ("An __init__ of snake_case and ~~old~~ news.", "An init of snake case and old news."),
        ("2 * 3 is 6, and so is 2*3.", "2 * 3 is 6, and so is 2*3."),
        ("It takes ~5 minutes.", "It takes about 5 minutes."),
        ("# A title\n\nText.", "A title\nText."),
        ("C# is no heading, #1 is none.", "C# is no heading, #1 is none."),
        ("- one\n- two\n  * three\n", "one\ntwo\nthree\n"),
        ("1. First\n2. Second\n10) Tenth", "1: First\n2: Second\n10: Tenth"),
        ("- [ ] open\n- [x] done", "open\ndone"),
        ("It is 3.5 or\n3.5 apples", "It is 3.5 or\n3.5 apples"),
        ("> A quote\n> goes on.", "A quote\ngoes on."),
        ("Before\n\n---\n\nAfter", "Before\nAfter"),
        ("Use `ls -l` here.", "Use ls -l here."),
        ("So:\n```python\nx = '''\nprint(1)\n```\nDone.", f"So:\n{CODE_LEFT_OUT}\nDone."),
        ("~~~\ncode\n~~~\nDone.", f"{CODE_LEFT_OUT}\nDone."),
        ("```\nnever ends", f"{CODE_LEFT_OUT}\n"),
        ("```one line```", "one line"),
        ("See [the page](https://a.example/x_(y)?q=1) now.", "See the page now."),
        ('See [**the** page](https://a.example "title").', "See the page."),
        ("![A cat](cat.png) sleeps.", "A cat sleeps."),
        ("Water is wet [1][^2].", "Water is wet ."),
        ("[SPEAKER0] Hello. [SPEAKER1] Hi!", "[SPEAKER0] Hello. [SPEAKER1] Hi!"),
        ("Go to https://www.example.com/path?q=1#top, please.", "Go to example.com, please."),
        ("(see https://example.com/a_(b)).", "(see example.com)."),
        ("<https://example.com/x> and http://x.example:8080/.", "example.com and x.example."),
        ("a < b, b > c, <b>bold</b><br/>next", "a < b, b > c, bold\nnext"),
        ("x <y and z> w", "x <y and z> w"),
        ("<think>I wonder\nwhether</think>\n\nYes.", "Yes."),
        ("Great 🎉👍🏽 news 1️⃣ 🇩🇪!", "Great news 1 !"),
        ("| Name | Age |\n|---|:-:|\n| Ada | 36 |\n| Bob | |\nEnd", "Name, Age.\nAda, 36.\nBob.\nEnd"),
        ("\\*not bold\\*, back\\slash", "*not bold*, back\\slash"),
        ("[half a link](https://a.exam", "[half a link](a.exam"),
        ("Two  spaces\t\tand\r\n\r\n\r\nlines", "Two spaces and\nlines"),
        ("five stars: *****", "five stars: *****"),
    ],
)
def test_what_is_written_is_said_as_a_person_would_read_it_out(written: str, said: str) -> None:
    assert spoken(written) == said
    assert spoken(*written) == said


MARKS = "* ** _ ` ``` ~~~ 1. | |---| [ ]( ] ) ! < > <b> </think> <think> https:// http h www. . 🎉 word 7 --- é".split()
MARKS += ["\n", " ", "# ", "- ", "1. ", "> ", "[x] ", "\\", "\r"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(MARKS), st.text(max_size=3)), max_size=25).map("".join), st.data())
@example("a **", None)
def test_any_cut_into_pieces_says_the_same(text: str, data: st.DataObject | None) -> None:
    cuts = [] if data is None else sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert spoken(*pieces) == spoken(text) == spoken(*text)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(
        ["*", "_", "~", "`", "#", "-", " ", "[", "![", "<a ", "|x", "1", "https://", "[a](", "```\n", "<think>"]
    ),
    st.integers(90, 2300),
)
def test_bounds_of_marks_lie_in_the_same_place_in_pieces(mark: str, length: int) -> None:
    text = f"so: {mark}{(mark[-1] * length)} end of it\n{mark * (length // 40)}"
    assert spoken(*text) == spoken(text)


@pytest.mark.parametrize(
    ("pieces", "at_once"),
    [
        (["Hello there. ", "How"], ["Hello there. ", "How"]),
        (["It is **ve", "ry** good"], ["It is ve", "ry good"]),
        (["- one\n", "two"], ["one\n", "two"]),
        (["the th", "e"], ["the th", "e"]),
        (["see [a](", "http://x) now"], ["see ", "a now"]),
    ],
)
def test_words_are_not_held_back(pieces: list[str], at_once: list[str]) -> None:
    speech = Speakable()
    assert [speech.push(piece) for piece in pieces] == at_once


def test_a_long_text_takes_time_in_proportion() -> None:
    text = "word [link " * 20_000
    assert len(spoken(text[:20_000], text[20_000:])) == len(text)
