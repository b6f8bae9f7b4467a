"""Scope: the brain by rules: what it answers, what it remembers, and where it says that its rules end."""

from __future__ import annotations

import ast
from datetime import datetime
from inspect import getsource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.agent.brain import Dialogue, FunctionCall, FunctionOutput, NothingToSay, Said
from realtime.agent.rules import sums
from realtime.agent.rules.brain import AGAIN, GREETING, HONEST, RuleBrain, answer
from realtime.agent.rules.numbers import with_digits, written
from realtime.agent.rules.small_talk import JOKES
from realtime.agent.rules.words import words_of

NOON = datetime(2026, 11, 28, 14, 5, 7, 123456)  # a Saturday


def talk(*turns: str) -> list[str]:
    """Hold a conversation, and give the answers."""
    entries: list[Said] = []
    answers = []
    for turn in turns:
        entries.append(Said("user", turn))
        answers.append(answer(Dialogue(tuple(entries)), NOON))
        entries.append(Said("assistant", answers[-1]))
    return answers


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("What time is it?", "It is 2:05 PM."),
        ("Um, hello, could you tell me what's the time, please?", "It is 2:05 PM."),
        ("What time is it in Tokyo?", "I only know the time where I run, and there it is 2:05 PM."),
        ("What's the date today?", "Today is Saturday, November 28, 2026."),
        ("What day is it?", "Today is Saturday, November 28, 2026."),
        ("What day is tomorrow?", "That is Sunday, November 29, 2026."),
        ("What day was the day before yesterday?", "That was Thursday, November 26, 2026."),
        ("What is the date in two weeks?", "That is Saturday, December 12, 2026."),
        ("What year is it?", "It is 2026."),
        ("Is it Sunday?", "No, it is Saturday."),
        ("How many days until Christmas?", "There are 27 days to go: it is on Friday, December 25, 2026."),
        ("How long is it until Monday?", "There are 2 days to go: it is on Monday, November 30, 2026."),
        ("What day of the week is the 3rd of May?", "May 3, 2027 is a Monday."),
        ("What day was July twenty first 1969?", "July 21, 1969 was a Monday."),
        ("Is 2028 a leap year?", "Yes, 2028 is a leap year."),
        ("What comes after Sunday?", "Monday comes after Sunday."),
        ("What's the day after Friday?", "Saturday comes after Friday."),
        ("Which month is before March?", "February comes before March."),
        ("What month is it now?", "It is November."),
        ("What month is my birthday in?", None),
        ("What is the date of Easter?", None),
        ("How many weeks until Christmas?", "It is 3 weeks and 6 days until Friday, December 25, 2026."),
        ("How many days are there in a week?", "1 week is 7 days."),
        ("How many days are in February?", "February has 28 days, and 29 in a leap year."),
        ("How many days does a year have in it?", None),
        ("How many months are in a year?", "There are 12 months in a year."),
    ],
)
def test_it_knows_the_clock_and_the_calendar(asked: str, says: str | None) -> None:
    (said,) = talk(asked)
    assert said == says if says else said.endswith(HONEST)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("2 + 3", "2 plus 3 is 5."),
        ("What's two plus three?", "2 plus 3 is 5."),
        ("What is 2+3, thank you.", "2 plus 3 is 5."),
        ("seven minus twelve plus one hundred and five", "7 minus 12 plus 105 is 100."),
        ("How much is twenty-five times four?", "25 times 4 is 100."),
        ("How much is 1,000 plus 2,000,000?", "1000 plus 2,000,000 is 2,001,000."),
        ("What's 7x8?", "7 times 8 is 56."),
        ("2 plus 3 times 4 equals?", "2 plus 3 times 4 is 14."),
        ("(2 + 3) * 4", "That is 20."),
        ("What is 0.1 + 0.2?", "0.1 plus 0.2 is 0.3."),
        ("three point five minus one point two five", "3.5 minus 1.25 is 2.25."),
        ("ten divided by three", "10 divided by 3 is about 3.3333."),
        ("Minus five plus two", "minus 5 plus 2 is minus 3."),
        ("Add three and four.", "3 plus 4 is 7."),
        ("Subtract three from ten.", "10 minus 3 is 7."),
        ("What's the square of 5?", "That is 25."),
        ("What is fifteen percent of two hundred?", "15 percent of 200 is 30."),
        ("Half of 90", "90 divided by 2 is 45."),
        ("What is five divided by zero?", "Nothing can be divided by zero."),
        ("999999999999999 times 999999999999999", "Those numbers are too large for me."),
        ("2 to the power of 1000000", "Powers and roots are beyond my rules. I add, subtract, multiply and divide."),
        ("2 ** 99", "Powers and roots are beyond my rules. I add, subtract, multiply and divide."),
    ],
)
def test_it_works_out_sums_in_words_and_signs(asked: str, says: str) -> None:
    assert talk(asked) == [says]


def test_a_sum_goes_on_from_the_last_result() -> None:
    assert talk("two minus five", "and times two")[1] == "That is minus 6."
    assert talk("one plus one", "And what's three times that?")[1] == "3 times 2 is 6."


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("How many feet are in a mile?", "1 mile is 5280 feet."),
        ("Convert 5 miles to kilometers.", "5 miles are about 8.0467 kilometres."),
        ("What is 100 degrees Fahrenheit in Celsius?", "100 degrees Fahrenheit is 37.78 degrees Celsius."),
        ("What's -40°F in celsius?", "minus 40 degrees Fahrenheit is minus 40 degrees Celsius."),
        ("half a mile in feet", "0.5 miles are 2640 feet."),
        ("How many seconds are there in an hour?", "1 hour is 3600 seconds."),
        ("How many litres in a mile?", "Miles measure length and litres measure volume."),
    ],
)
def test_it_converts_units(asked: str, says: str) -> None:
    assert talk(asked) == [says]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("How do you spell necessary?", "Necessary: N, E, C, E, S, S, A, R, Y."),
        ("How many letters are in hello?", "Hello has 5 letters."),
        ("Count to five.", "1, 2, 3, 4, 5."),
        ("Count down from three.", "3, 2, 1, 0."),
        ("Count to a million.", "That is a long way. I count at most 30 numbers at a time."),
        ("Is 91 prime?", "No, 91 is not a prime number: it is 7 times 13."),
        ("Is twelve even?", "Yes, 12 is even."),
        ("Which is bigger, three or five?", "5 is larger."),
        ("What number comes after ninety nine?", "100 comes after 99."),
        ("Flip a coin.", "Tails."),
        ("How do you spell your name?", "Voiced: V, O, I, C, E, D."),
    ],
)
def test_it_spells_and_counts(asked: str, says: str) -> None:
    assert talk(asked) == [says]


def test_it_remembers_the_users_name_from_the_dialogue() -> None:
    assert talk("What's my name?")[0].startswith("You have not told me")
    said = talk("Hello, my name is marta.", "What time is it?", "Do you know my name?", "Goodbye!", "Spell my name.")
    assert said[0] == "Nice to meet you, Marta."
    assert said[2:] == ["Your name is Marta.", "Goodbye, Marta. It was nice talking to you.", "Marta: M, A, R, T, A."]
    assert talk("What's my name?", "It's Ada.", "Who am I?")[1:] == ["Nice to meet you, Ada.", "Your name is Ada."]
    assert talk("What's my name?", "No.", "Who am I?")[2].startswith("You have not told me")
    assert talk("Hi, I'm Jean-Luc Picard.", "Who am I?")[1] == "Your name is Jean-Luc Picard."


@pytest.mark.parametrize("said", ["Call me later.", "Hi, I'm tired.", "Hello, this is great."])
def test_what_is_no_name_is_not_taken_for_one(said: str) -> None:
    assert talk(said, "What is my name?")[1].startswith("You have not told me")


def test_it_says_things_again() -> None:
    said = talk("Repeat after me: the quick brown fox.", "Pardon?", "What did I say?", "What did you say?")
    assert said[:2] == ["The quick brown fox."] * 2
    assert said[2] == "You said: Pardon?"
    assert said[3] == said[2]


def test_every_joke_is_told_before_one_is_told_again() -> None:
    told = talk("Tell me a joke.", *["Another one!"] * len(JOKES))
    assert set(told[: len(JOKES)]) == set(JOKES)
    assert told[-1] == told[0]


@pytest.mark.parametrize("asked", ["Who are you?", "What's your name?", "Are you a human?", "are you an AI"])
def test_it_says_that_it_is_a_few_rules(asked: str) -> None:
    assert "a few rules, no language model" in talk(asked)[0]


@pytest.mark.parametrize("asked", ["What can you do?", "Help!", "What can I ask you?"])
def test_it_says_what_it_can(asked: str) -> None:
    assert "do sums" in talk(asked)[0]


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ("Hello.", "Hello!"),
        ("How are you?", "All my rules are in order"),
        ("I'm fine, and you?", "I am well"),
        ("Thanks a lot!", "You are welcome"),
        ("Bye bye.", "Goodbye."),
        ("What's the weather like?", "I cannot look outside"),
        ("Set a timer for five minutes.", "I can only talk"),
        ("yes", "Good."),
    ],
)
def test_it_holds_small_talk(asked: str, begins: str) -> None:
    assert talk(asked)[0].startswith(begins)


def test_for_the_rest_it_says_honestly_what_it_heard_and_that_no_rule_knows_it() -> None:
    assert talk("What is the capital of France?") == [f"You said: What is the capital of France. {HONEST}"]
    assert len(talk("word " * 4000)[0]) < 250
    assert talk("Where is Paris?", "Where is Rome?")[1] == f"You said: Where is Rome. {AGAIN}"


@pytest.mark.parametrize("text", ["", "  ", "…!?"])
def test_a_turn_without_words_is_not_answered_from_the_one_before(text: str) -> None:
    with pytest.raises(NothingToSay, match="no words"):
        answer(Dialogue((Said("user", "Hello."), Said("user", text, audio=b"\0\0"))), NOON)


def test_where_no_user_has_spoken_it_greets() -> None:
    assert answer(Dialogue((Said("system", "Be brief."),)), NOON) == GREETING


def test_function_calls_in_the_dialogue_are_passed_over() -> None:
    entries = (Said("user", "Two plus two?"), FunctionCall("look", "{}", "call_1"), FunctionOutput("call_1", "{}"))
    assert answer(Dialogue(entries), NOON) == "2 plus 2 is 4."


async def test_it_gives_its_answer_in_one_piece_by_its_own_clock() -> None:
    brain = RuleBrain(lambda: NOON)
    assert brain.answers_turns
    pieces = [piece async for piece in brain.reply(Dialogue((Said("user", "What time is it?"),)))]
    assert pieces == ["It is 2:05 PM."]


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=600))
def test_any_text_gets_an_answer_of_bounded_length(text: str) -> None:
    if any(map(str.isalnum, text)):
        assert 0 < len(answer(Dialogue((Said("user", text),)), NOON)) <= 1300


WORDS = (
    "what is how many much days in the to plus minus times 3 7.5 ( ) - percent of half two hundred and thirty first "
    "may 2027 until degrees celsius miles count from spell name my call me repeat say squared even prime point"
).split()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join))
def test_any_order_of_the_words_that_rules_look_for_gets_an_answer(text: str) -> None:
    if any(map(str.isalnum, text)):
        assert answer(Dialogue((Said("user", text),)), NOON)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_sums_of_any_size_within_the_bound_are_right(one: int, other: int) -> None:
    assert talk(f"What is {one:,} + {other}?")[0].endswith(f" is {written(one + other)}.")


def test_a_sum_is_walked_and_never_run_as_code() -> None:
    calls = [node.func for node in ast.walk(ast.parse(getsource(sums))) if isinstance(node, ast.Call)]
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    assert not called & {"eval", "exec", "compile"}


@pytest.mark.parametrize(
    ("written_as", "words"),
    [
        ("What's 2,000 + 3.5?", "what is 2000 + 3.5"),
        ("I'm, um, sure we’ll won't — twenty-five%", "i am sure we will will not 25 percent"),
        ("The 3rd × 4", "the 3 * 4"),
        ("two hundred and five and six", "205 and 6"),
        ("a dozen, two three", "12 2 3"),
        ("one million two hundred thousand and one", "1200001"),
    ],
)
def test_words_come_out_plain_however_they_were_written(written_as: str, words: str) -> None:
    assert " ".join(with_digits(words_of(written_as))) == words
