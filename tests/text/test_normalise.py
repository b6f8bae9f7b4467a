"""Scope: written English becomes spoken English, nothing that has a sound gets lost, and any string is taken."""

import re
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.text import dictionary_words, front_end, normalise
from realtime.text.numbers import cardinal, decade, digits, ordinal, read, year

FORMS = {
    "cardinals": [
        ("I have 3 dogs and 11 cats.", "I have three dogs and eleven cats."),
        ("Room 307", "Room three hundred seven"),
        ("1,000,000 people", "one million people"),
        ("Agent 007", "Agent zero zero seven"),
        ("The code is 7 9 0 4.", "The code is seven nine zero four."),
        ("It was -5 outside.", "It was minus five outside."),
        ("MP3 and 5G", "MP three and five G"),
    ],
    "decimals": [
        ("Pi is 3.14.", "Pi is three point one four."),
        ("0.5 or .75", "zero point five or zero point seven five"),
        ("version 1.2.3", "version one point two point three"),
        ("v1.2.3 and 1.2.3b", "v one point two point three and one point two point three b"),
        ("3.0e-5", "three point zero times ten to the minus five"),
    ],
    "fractions and ranges": [
        ("1/2", "one half"),
        ("3/4 cup", "three quarters cup"),
        ("10-12 people", "ten to twelve people"),
        ("open 24/7", "open twenty four seven"),
        ("1,000-2,000 people", "one thousand to two thousand people"),
    ],
    "ordinals": [("the 1st, 22nd and 103rd", "the first, twenty second and one hundred third")],
    "years": [
        ("in 1999", "in nineteen ninety nine"),
        ("in 2005", "in two thousand five"),
        ("in 2024", "in twenty twenty four"),
        ("the 1990s and the '80s", "the nineteen nineties and the eighties"),
    ],
    "dates": [
        ("March 3rd, 1987", "March third, nineteen eighty seven"),
        ("Jan. 5, 2024", "January fifth, twenty twenty four"),
        ("15 March 2024", "fifteenth of March, twenty twenty four"),
        ("2024-03-15", "March fifteenth, twenty twenty four"),
        ("3/15/2024", "March fifteenth, twenty twenty four"),
        ("15.03.2024", "March fifteenth, twenty twenty four"),
        ("Dec 25", "December twenty fifth"),
        ("2026-13-45", "two thousand twenty six thirteen forty five"),
    ],
    "times": [
        ("at 9:30 on Monday", "at nine thirty on Monday"),
        ("9:05 a.m.", "nine oh five A M"),
        ("at 5pm", "at five P M"),
        ("at 7:00", "at seven o'clock"),
        ("14:00", "fourteen hundred"),
        ("20:00:05", "twenty hundred and five seconds"),
        ("at 10:00:01.", "at ten o'clock and one second."),
        ("13:30:00", "thirteen thirty"),
        ("9:05:30.25", "nine oh five and thirty point two five seconds"),
        ("open 9:00-17:30", "open nine o'clock to seventeen thirty"),
        ("5:00 pm", "five P M"),
        ("30:45", "thirty to forty five"),
        ("30:45:10", "three zero four five one zero"),
    ],
    "timestamps": [
        ("2026-11-28T10:00Z", "November twenty eighth, twenty twenty six at ten o'clock UTC"),
        (
            "at 2026-11-28T10:05:09.5+01:30, then",
            "at November twenty eighth, twenty twenty six at ten oh five and nine point five seconds, "
            "UTC plus one thirty, then",
        ),
        ("2026-11-28 10:00-05:00", "November twenty eighth, twenty twenty six ten o'clock, UTC minus five"),
        ("2026-11-28 10:00", "November twenty eighth, twenty twenty six ten o'clock"),
    ],
    "money": [
        ("$5", "five dollars"),
        ("$1", "one dollar"),
        ("$1,234.56", "one thousand two hundred thirty four dollars and fifty six cents"),
        ("$0.99", "ninety nine cents"),
        ("$.99", "ninety nine cents"),
        ("$5.00", "five dollars"),
        ("€5M", "five million euros"),
        ("£3 billion", "three billion pounds"),
        ("1.50€", "one euro and fifty cents"),
        ("$1 now", "one dollar now"),
        ("$1.5-2 million", "one point five to two million dollars"),
        ("$10-$20", "ten to twenty dollars"),
    ],
    "units": [
        ("80kg", "eighty kilograms"),
        ("1 km", "one kilometer"),
        ("37.5°C", "thirty seven point five degrees Celsius"),
        ("-5°C", "minus five degrees Celsius"),
        ("90 km/h", "ninety kilometers per hour"),
        ("3 kWh", "three kilowatt hours"),
        ("5 m²", "five square meters"),
        ("50%", "fifty percent"),
        ("6 ft", "six feet"),
        ("50-60%", "fifty to sixty percent"),
        ("10%-20% off", "ten to twenty percent off"),
        ("5 km – 10 km", "five to ten kilometers"),
        ("-5°C", "minus five degrees Celsius"),
    ],
    "abbreviations": [
        ("Dr. Smith met Mrs. Jones.", "doctor Smith met missus Jones."),
        ("on Main St. near St. Mary's", "on Main street near saint Mary's"),
        ("Tea, coffee, etc.", "Tea, coffee, et cetera."),
        ("e.g. this, i.e. that", "for example this, that is that"),
        ("No. 5", "number five"),
        ("the U.S. army", "the US army"),
    ],
    "addresses": [
        ("mail bob.smith@mail.org now", "mail bob dot smith at mail dot org now"),
        ("see www.example.com.", "see www dot example dot com."),
        ("https://a.io/b-c", "https colon slash slash a dot io slash b dash c"),
    ],
    "telephone numbers": [
        ("555 0142", "five five five, zero one four two"),
        ("(555) 123-4567", "five five five, one two three, four five six seven"),
    ],
    "card numbers": [
        ("4111 1111 1111 1234.", "four one one one, one one one one, one one one one, one two three four."),
        ("4111-1111-1111-1234", "four one one one, one one one one, one one one one, one two three four"),
        ("4111111111111234", "four one one one, one one one one, one one one one, one two three four"),
        ("3782 822463 10005", "three seven eight two, eight two two four six three, one zero zero zero five"),
        ("in 1999, 2000 and 2001", "in nineteen ninety nine, two thousand and two thousand one"),
    ],
    "Roman numerals": [
        ("Henry VIII", "Henry the eighth"),
        ("World War II", "World War two"),
        ("I am here", "I am here"),
    ],
    "signs": [
        ("rock & roll", "rock and roll"),
        ("5 + 3 = 8", "five plus three equals eight"),
        ("a < b", "a less than b"),
        ("C#", "C hash"),
    ],
    "Markdown": [
        ("**bold** and `code`", "bold and code"),
        ("# Title\n- one\n- two", "Title\none\ntwo"),
        ("***both*** and ~~no~~ yes", "both and no yes"),
        ("> quote\n>> of **one**", "quote\nof one"),
        ("> 5 is more", "greater than five is more"),
        ("| a | b |\n|:--|--:|\n| 1 | 2 |", "a, b\n\none, two"),
        ("|a|b|\nthen", "a, b\nthen"),
        ("a | b, |x| and ~5", "a bar b, bar x bar and about five"),
    ],
    "character references": [
        ("rock &amp; roll", "rock and roll"),
        ("it&#39;s &quot;fine&quot;&#x21;", 'it\'s "fine"!'),
        ("1&nbsp;&lt;&nbsp;2", "one less than two"),
        ("&lt;speak&gt;", "less than speak greater than"),
        ("AT&T, R&D; and &nosuch;", "A T and T, R and D; and and nosuch;"),
        ("&frac12; cup", "one half cup"),
    ],
    "tags": [
        ('<speak>Hello <break time="500ms"/> world.<break/></speak>', "Hello, world."),
        ("<?xml version='1.0'?>\n<speak version='1.0' xml:lang=\"en\"><!-- hi -->Hi</speak>", "Hi"),
        ("<prosody rate=\"slow\" pitch='-2st'>So</prosody> it <emphasis>is</emphasis>.", "So it is."),
        ('on <say-as interpret-as="date">2024-03-15</say-as>', "on March fifteenth, twenty twenty four"),
        ('the <sub alias="World Wide Web">WWW</sub>', "the World Wide Web"),
        ("<p>One.</p><s>Two.</s>", "One.\n\nTwo."),
        ("<b>bold</b>ly<br />gone", "boldly\ngone"),
        ("<mstts:express-as style='cheerful'>Yes</mstts:express-as>", "Yes"),
        ("if a<b and b > c", "if a less than b and b greater than c"),
        ("a <b and c> d", "a less than b and c greater than d"),
        ("a <table> of <x>", "a less than table greater than of less than x greater than"),
    ],
    "escape codes": [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1bHello", "Hello"),
    ],
    "plain text": [
        ("Nothing to do here, it's fine!", "Nothing to do here, it's fine!"),
        ("Привет, 你好, café", "Привет, 你好, café"),
        ("", ""),
    ],
}


@pytest.mark.parametrize(("written", "spoken"), [pair for pairs in FORMS.values() for pair in pairs])
def test_spoken_form(written: str, spoken: str) -> None:
    assert normalise(written).strip() == spoken


def test_speaker_tags_stay() -> None:
    assert normalise("[SPEAKER0] It is 5. [SPEAKER12] No, 6.") == "[SPEAKER0] It is five. [SPEAKER12] No, six."


def test_emoji_and_controls_are_silent() -> None:
    assert normalise("fine 👍🏽\u200d\x00 thanks\u200b").split() == ["fine", "thanks"]


@given(st.integers(-(10**18), 10**18))
def test_every_whole_number_has_words(value: int) -> None:
    assert re.fullmatch(r"[a-z ]+", cardinal(value))
    assert re.fullmatch(r"[a-z ]+", ordinal(abs(value)))


def test_numbers_by_hand() -> None:
    assert cardinal(1_200_042) == "one million two hundred thousand forty two"
    assert [ordinal(n) for n in (1, 5, 12, 20, 21)] == ["first", "fifth", "twelfth", "twentieth", "twenty first"]
    assert [year(n) for n in (1900, 1906, 2000, 2010)] == [
        "nineteen hundred", "nineteen oh six", "two thousand", "twenty ten",
    ]  # fmt: skip
    assert (decade(1990), digits("407"), read("12.05")) == (
        "nineteen nineties",
        "four zero seven",
        "twelve point zero five",
    )


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_string_is_taken_and_digits_are_gone(text: str) -> None:
    spoken = normalise(text)
    without_tags = re.sub(r"\[SPEAKER\d{1,2}\]", "", spoken)
    assert not re.search(r"[0-9]", without_tags)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(categories=["L"]), max_size=60))
def test_letters_of_every_script_stay(text: str) -> None:
    named = {"µ", "μ", "π", "ʼ"}
    wanted = Counter(letter for letter in text if letter not in named and not 0xFF10 <= ord(letter) < 0xFF5B)
    assert wanted <= Counter(normalise(text))


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("0123456789 .,:/-$€%°CFkmgh#*_`'\"()[]SPEAKRst&@+=aApPmM\n"), max_size=80))
def test_what_looks_like_numbers_never_fails(text: str) -> None:
    assert isinstance(normalise(text), str)


def test_a_page_of_text_takes_no_time() -> None:
    page = "On 3/15/2024 at 9:30 the U.S. paid $1,234.56 (about 50%) for 80kg; see https://a.io or call 555-0142. " * 20
    normalise(page)
    started = time.process_time()
    normalise(page)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "piece",
    [
        *("1", "a.", "*", "1/", "$", "www.", "-", "1,", "1.2", "Dr. ", "~~", "~~a", "> ", "|", "| - ", "&", "&a", "&#"),
        *(
            "<",
            "<a ",
            "<s a='",
            "<s a='b' ",
            "<sub alias='a'>x",
            "<!--",
            "<!--a>",
            "<break/>",
            "\x1b[",
            "\x1b]",
            "\x1b[1;",
        ),
        *("1234 ", "1234-", "12%-", "$1-", "10:00-", "2026-11-28T10:00", "10:00:"),
    ],
)
def test_long_odd_input_takes_no_time(piece: str) -> None:
    text = (piece * 20_000)[:20_000]
    started = time.process_time()
    normalise(text)
    assert time.process_time() - started < 2.0


def test_the_dictionary_gives_plain_words_in_order() -> None:
    words = dictionary_words()
    assert words == sorted(words)
    assert "table" in words
    assert all(word.isalpha() and 3 <= len(word) <= 12 for word in words)


def test_the_front_end_has_a_name() -> None:
    assert front_end("none")("5") == "5"
    assert front_end("normalise")("5") == "five"
    assert front_end("phonemes")("five") == "fˈIv."
    with pytest.raises(ValueError, match="'phonemes'"):
        front_end("magic")
