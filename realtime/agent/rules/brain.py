"""The brain by rules: it answers what rules can, says honestly where they end, and needs nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from realtime.agent.brain import Dialogue, FunctionCall, NothingToSay, Said
from realtime.agent.rules.calendar import date_answer, fact_answer, time_answer
from realtime.agent.rules.counting import counting_answer
from realtime.agent.rules.names import name_answer
from realtime.agent.rules.question import Question
from realtime.agent.rules.repeating import repeating_answer
from realtime.agent.rules.small_talk import courtesy_answer, talk_answer
from realtime.agent.rules.spelling import spelling_answer
from realtime.agent.rules.sums import sum_answer
from realtime.agent.rules.units import unit_answer

RULES: tuple[Callable[[Question], str | None], ...] = (
    repeating_answer,
    spelling_answer,
    name_answer,
    unit_answer,
    date_answer,
    time_answer,
    fact_answer,
    counting_answer,
    sum_answer,
    talk_answer,
    courtesy_answer,
)
"""Asked in this order; the first that knows an answer gives it."""
GREETING = "Hello! I am a brain of a few rules. Ask me for the time, a sum, or a joke."
HONEST = "I am only a few rules, and none of them knows what to say to that."
AGAIN = "I have no rule for that."
_QUOTED = 120


def answer(dialogue: Dialogue, now: datetime) -> str:
    """Answer the last turn of the user's, or greet where there is none. Raises NothingToSay where it has no words.

    `now` is the time that is told, and what chance is drawn from.
    """
    turn = next((said for said in reversed(dialogue.entries) if isinstance(said, Said) and said.role == "user"), None)
    if turn is None:
        return GREETING
    if not any(map(str.isalnum, turn.text)):
        raise NothingToSay("The user's last turn has no words to answer; send text, or audio with its transcript.")
    question = Question(turn.text, dialogue, now)
    return next(filter(None, (rule(question) for rule in RULES)), None) or _honest(question)


def _honest(question: Question) -> str:
    """Say what was understood, and that no rule knows more of it."""
    heard = re.sub(r"\s+", " ", question.text).strip().rstrip(".!?…, ")
    if len(heard) > _QUOTED:
        heard = f"{heard[:_QUOTED].rsplit(' ', 1)[0]} and so on"
    before = question.said_by("assistant")
    again = bool(before) and before[0].text.strip().endswith((HONEST, AGAIN))
    return f"You said: {heard}. {AGAIN if again else HONEST}"


class RuleBrain:
    """Answers by rules, from the dialogue and `clock`, the time where the server runs."""

    answers_turns = True
    needs_transcripts = True

    def __init__(self, clock: Callable[[], datetime] = datetime.now) -> None:
        self._clock = clock

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        """Give the answer, in one piece. Raises NothingToSay where the last turn has no words."""
        yield answer(dialogue, self._clock())
