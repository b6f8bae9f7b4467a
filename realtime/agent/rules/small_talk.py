"""Small talk: what people say to a voice to see whether it is there, and what it is."""

from __future__ import annotations

import re

from realtime.agent.rules.names import name_in
from realtime.agent.rules.question import Question
from realtime.agent.rules.words import any_of

JOKES = (
    "A codec went to a party. It left early: it could not bear the noise.",
    "I wanted to tell a joke about silence. But then nobody would notice.",
    "Why do clocks make poor comedians? Their timing is perfect, and they say the same thing twice a day.",
    "I asked the microphone how it felt. It said it takes everything in.",
    "Two frames of audio meet. One says: have we met? The other says: yes, forty milliseconds ago.",
)
_WHAT_I_AM = (
    "I am voiced's built-in brain: a few rules, no language model. "
    "I know the time, the date, sums, units, spelling, and a joke or two."
)
_WHAT_I_CAN = (
    "I can tell the time and the date, do sums, convert units, spell words, count, remember your name, "
    "repeat what you say, and tell a joke. For more, attach a language model."
)
_VERY = r"(?:very |so |really |quite |a bit |a little |also |just |doing |pretty )*"
_FIXED = [
    (
        any_of(
            r"\b(?:who|what) (?:exactly )?are you\b",
            r"\byour name\b",
            r"\bare you (?:a |an |really a |the )?(?:real|human|person|robot|bot|machine|computer|program)\b",
            r"\bare you (?:a |an |really an )?(?:ai|artificial|llm|language model|chatgpt|gpt)\b",
            r"\bare you (?:alive|conscious|intelligent)\b",
            r"\b(?:introduce yourself|about yourself|what model)\b",
            r"\bwho am i (?:talking|speaking) (?:to|with)\b",
        ),
        _WHAT_I_AM,
    ),
    (
        any_of(
            r"\bwhat (?:else )?can you\b",
            r"\bwhat do you (?:do|know|understand)\b",
            r"\bwhat (?:are|is) your (?:skills|abilities|features)\b",
            r"^help$|\bhelp me$|\bi need (?:some )?help$|\bhow can you help\b",
            r"\bi have (?:a|some) questions?$",
            r"\bwhat (?:can|should|could) i (?:ask|say)\b|\bwhat questions\b",
        ),
        _WHAT_I_CAN,
    ),
    (
        any_of(
            r"\bhow (?:are you|is it going|have you been)\b",
            r"\bhow do you (?:feel|do)\b",
            r"\bare you (?:ok|okay|well)\b",
        ),
        "All my rules are in order, thank you. How are you?",
    ),
    (
        any_of(r"\bhow old are you\b", r"\byour (?:age|birthday)\b", r"\bwhen were you (?:born|made)\b"),
        "I begin anew with every conversation, so: as old as this one.",
    ),
    (any_of(r"\bwhere (?:are you|do you live)\b"), "I run in the server that you are talking to."),
    (any_of(r"\bwho (?:made|built|created|wrote|programmed) you\b"), "The people who write voiced wrote my rules."),
    (
        any_of(
            r"\b(?:can|do) you (?:hear|understand) (?:me|us)\b",
            r"\bare you (?:still )?there\b",
            r"\b(?:is|can) (?:anybody|anyone) (?:there|hear)\b",
            r"\bis this (?:thing )?on\b",
            r"^(?:test|testing)\b",
        ),
        "Yes, I am here, and I understood what you said.",
    ),
    (
        any_of(
            r"\b(?:weather|temperature outside|forecast)\b",
            r"\bis it (?:raining|cold|warm|sunny)\b",
            r"\bwill it rain\b",
        ),
        "I cannot look outside: I have neither a window nor the internet.",
    ),
    (any_of(r"\b(?:do|can) you speak (?!up|louder|slower)"), "I only speak English."),
    (any_of(r"\b(?:news|headlines)\b"), "I have no connection to the news."),
    (
        any_of(r"\b(?:set|start) (?:me )?(?:a |an |the )?(?:timer|alarm|reminder)\b", r"\b(?:remind|wake) me\b"),
        "I can only talk: I have no timer and no alarm.",
    ),
    (
        any_of(r"\b(?:play|put on) (?:some |a |me )*(?:music|song)\b", r"\bsing\b"),
        "I speak, but I do not sing. Be glad.",
    ),
    (any_of(r"\bmeaning of life\b"), "Forty-two, I read. I have no rule for why."),
    (any_of(r"\bi (?:love|like) you\b", r"\bmarry me\b"), "That is kind. I am only a few rules, but thank you."),
    (
        any_of(
            rf"\byou are {_VERY}(?:great|good|nice|smart|clever|kind|helpful|amazing|the best|cool)\b",
            r"\bwell done\b|\bgood (?:job|bot|work)\b",
        ),
        "Thank you. I do what I can.",
    ),
    (
        any_of(
            rf"\byou are {_VERY}(?:stupid|bad|dumb|slow|useless|boring|wrong|terrible)\b",
            r"\bthat is (?:wrong|not right|not true|incorrect)\b",
        ),
        "I am only a few rules, and they have their limits. Sorry about that.",
    ),
    (
        any_of(r"\b(?:do|can|will) you (?:like|love|want|think|dream|eat|sleep|feel)\b"),
        "I am only a few rules: I do nothing of the kind.",
    ),
    (any_of(r"^(?:stop|be quiet|shut up|silence|never ?mind|forget it)$"), "All right."),
    (any_of(r"\b(?:that (?:was|is)|you are) funny\b", r"^(?:ha ?)+$"), "I am glad you laughed."),
    (any_of(r"^(?:i am )?(?:very |so )?(?:sorry|i apologi[sz]e|my bad)\b"), "No harm done."),
    (any_of(r"\b(?:nice|pleased|good|pleasure) to meet you\b"), "Nice to meet you too."),
    (any_of(r"^(?:and you|what about you|how about you)$", r"\band (?:how are )?you$"), "I am well, thank you."),
    (
        any_of(
            rf"\bi am {_VERY}(?:fine|well|good|great|okay|ok|happy|all right|alright)\b",
            r"^(?:fine|very well|pretty good|not bad)\b",
        ),
        "I am glad to hear that. What can I do for you?",
    ),
    (
        any_of(rf"\bi am {_VERY}(?:sad|tired|bored|angry|ill|sick|lonely|hungry|thirsty|unhappy)\b"),
        "I am sorry to hear that. Shall I tell you a joke?",
    ),
]
_JOKE = any_of(r"\bjokes?\b", r"\bmake me laugh\b", r"\bsomething funny\b", r"^say (?:something|anything)\b")
_ANOTHER = re.compile(r"^(?:another|one more|tell me another|more|yes|sure|yeah|go on)\b")
_THANKS = re.compile(r"\b(?:thank|thanks|cheers|much appreciated)\b")
_BYE = any_of(
    r"\b(?:goodbye|good bye|bye|see you|see ya|farewell|good night|talk to you later|until next time|hang up)\b",
    r"\bi (?:have to|must|need to) go\b",
    r"\bthat (?:is|was|will be) all\b",
)
_GREETING = any_of(
    r"\b(?:hello|hi|hey|howdy|greetings)\b", r"\bgood (?:morning|afternoon|evening|day)\b", r"^what is up$"
)
_YES = re.compile(r"^(?:yes|yeah|yep|sure|ok|okay|right|alright|exactly|correct|good|great|cool|nice|perfect|wow)$")
_NO = re.compile(r"^(?:no|nope|nah|not really|nothing|no thank you|no thanks)$")


def talk_answer(question: Question) -> str | None:
    """Answer small talk."""
    line = question.words
    if _JOKE.search(line):
        return _joke(question)
    if _ANOTHER.match(line) and (said := question.said_by("assistant")):
        last = said[0].text.strip()
        if last in JOKES or last.endswith("joke?"):
            return _joke(question)
    return next((sentence for pattern, sentence in _FIXED if pattern.search(line)), None)


def courtesy_answer(question: Question) -> str | None:
    """Answer a greeting, thanks or a farewell, where nothing else was said."""
    line = question.words
    if _YES.match(question.asked):
        return "Good. What else can I do for you?"
    if _NO.match(question.asked):
        return "All right. I am here if you need me."
    if _BYE.search(line):
        return f"Goodbye{_by_name(question)}. It was nice talking to you."
    if _THANKS.search(line):
        return f"You are welcome{_by_name(question)}."
    if _GREETING.search(line):
        return f"Hello{_by_name(question)}! What can I do for you?"
    return None


def _by_name(question: Question) -> str:
    name = name_in(question)
    return f", {name}" if name else ""


def _joke(question: Question) -> str:
    """Tell a joke that was not told yet, as far as there are any."""
    told = sum(entry.text.strip() in JOKES for entry in question.said_by("assistant"))
    return JOKES[told % len(JOKES)]
