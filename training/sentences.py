"""Write the text: short clauses to be spoken, from templates, from prose and from the dictionary.

Three sources, each for a reason: templates give everyday speech and the answers of an assistant, prose (the language
reference every CPython carries in `pydoc_data`) gives longer grammar, and random dictionary words give the pairs of
phones that everyday words leave out. `held_out` returns sentences written by hand that no template produces.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pydoc_data import topics

MAX_CHARS = 60

LISTS: dict[str, str] = {
    "person": "my mother|my father|my sister|my brother|the teacher|the doctor|the driver|our neighbor|"
    "your friend|the manager|"
    "the children|the students|an old man|a young woman|the captain|a good friend|the cook|"
    "the farmer|the boss|everybody|"
    "somebody|nobody|the nurse|the artist|the engineer|the police officer|my cousin|my uncle|"
    "my aunt|the family|John|Mary|"
    "David|Anna|Peter|Sarah|Michael|Laura|Thomas|Julia|Robert|Emma|Daniel|Alice|George|Helen|Paul|Kate|James|Linda",
    "pro": "I|you|we|they",
    "sub": "he|she|it|nobody|everyone|the woman|the man|the child",
    "thing": "book|letter|house|car|table|chair|window|door|phone|computer|picture|story|song|question|"
    "answer|problem|plan|idea|"
    "key|bag|box|cup|glass|bottle|plate|knife|shirt|coat|shoe|hat|watch|clock|lamp|bed|map|"
    "ticket|train|bus|bike|boat|plane|"
    "road|bridge|river|lake|mountain|garden|tree|flower|apple|orange|sandwich|cake|dinner|"
    "breakfast|lunch|egg|fish|dog|cat|"
    "horse|bird|chair|desk|paper|pencil|newspaper|machine|engine|wheel|message|meeting|report|"
    "name|number|word|game|ball|"
    "camera|radio|mirror|camp|blanket|pillow|basket|ladder|hammer|candle|guitar|piano|umbrella|"
    "kitchen|bathroom|battery",
    "stuff": "water|coffee|tea|milk|bread|butter|cheese|sugar|salt|rice|soup|juice|money|paper|music|"
    "time|help|work|space|air|"
    "information|advice|luck|sand|wood|fruit|meat|chocolate|oil|snow|rain",
    "adj": "small|big|old|new|young|good|bad|nice|red|blue|green|white|black|yellow|brown|long|short|"
    "heavy|light|warm|cold|hot|"
    "quiet|loud|easy|difficult|empty|full|open|closed|clean|dirty|happy|sad|beautiful|"
    "important|strange|simple|strong|weak|"
    "expensive|cheap|fast|slow|bright|dark|soft|hard|sweet|dry|wet|famous|large|tiny|tall|round|fresh|broken|perfect",
    "place": "the park|the station|the office|the school|the hotel|the market|the hospital|the library|"
    "the beach|the airport|"
    "the museum|the kitchen|the garden|the bank|the church|the theater|the restaurant|"
    "the village|the city|the river|the bridge|"
    "the old town|the corner|the bus stop|the supermarket|the post office|the farm|the forest|the island|the next room|"
    "the second floor|the main road|the swimming pool|the bakery|London|Paris|Boston|Chicago|Berlin|Canada|Japan|Spain|"
    "New York|California|Africa|Australia|the moon|the north|the south|the east|the west",
    "verb": "see|find|buy|bring|take|open|close|read|write|clean|sell|make|use|watch|carry|break|fix|"
    "hold|keep|lose|move|paint|"
    "push|pull|show|send|need|want|like|love|remember|forget|change|check|choose|cut|draw|drop|"
    "finish|start|get|give up|"
    "hear about|look at|talk about|think about|wait for|pay for|pick up|put down|turn on|turn off",
    "past": "saw|found|bought|brought|took|opened|closed|wrote|cleaned|sold|made|used|watched|carried|"
    "broke|fixed|held|kept|"
    "lost|moved|painted|pushed|pulled|showed|sent|needed|wanted|liked|loved|remembered|forgot|"
    "changed|checked|chose|drew|"
    "dropped|finished|started|heard about|looked at|talked about|thought about|waited for|paid for|picked up|put down",
    "go": "go|walk|drive|run|travel|come|get|move|return|fly|ride|hurry",
    "went": "went|walked|drove|ran|traveled|came|got|moved|returned|flew|rode|hurried",
    "do": "work|sleep|eat|cook|dance|sing|swim|play|study|rest|wait|talk|read|write|laugh|cry|listen|"
    "practice|stay|leave|help",
    "when": "today|tomorrow|tonight|now|soon|later|every day|every week|next week|next month|next year|this morning|"
    "this afternoon|this evening|in the morning|in the evening|on {day}|at {clock}|in {month}|"
    "after dinner|before lunch|"
    "at the weekend|right now|as soon as possible|in a few minutes|once a week|at night|all day",
    "ago": "yesterday|last night|last week|last month|last year|two days ago|an hour ago|on {day}|"
    "in {month}|a long time ago|"
    "this morning|before breakfast|in {year}|just now|many years ago",
    "day": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday",
    "month": "January|February|March|April|May|June|July|August|September|October|November|December",
    "clock": "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight|"
    "{clockh} thirty|{clockh} fifteen|"
    "half past {clockh}|a quarter to {clockh}|{clockh} o'clock|{clockh} forty five|ten past {clockh}",
    "clockh": "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve",
    "feel": "happy|tired|hungry|thirsty|sorry|afraid|angry|busy|ready|sick|fine|worried|surprised|"
    "bored|lucky|alone|late|"
    "safe|sure|proud|excited|nervous|calm|glad|sad|better|worse|right|wrong|at home|on time",
    "weather": "sunny|cloudy|rainy|windy|cold|warm|hot|foggy|snowing|raining|dry|very nice|terrible|perfect|freezing",
    "dir": "left|right|straight ahead|back|north|south|up|down|around",
    "unit": "minutes|hours|days|weeks|months|years|miles|feet|dollars|euros|people|percent|kilometers|"
    "degrees|pages|pounds|"
    "seconds|points|steps|meters|books|students|chairs|questions|times|grams|liters|inches",
    "adv": "slowly|quickly|carefully|quietly|really|always|never|often|sometimes|usually|already|again|together|well|"
    "outside|upstairs|everywhere|at once|very much|a lot|too much|almost|perhaps",
    "job": "teacher|doctor|nurse|driver|cook|painter|writer|singer|lawyer|farmer|pilot|soldier|waiter|"
    "student|baker|dentist",
    "how": "how|why|when|where",
    "thanks": "thank you|thanks|thank you very much|thanks a lot|many thanks",
    "greet": "hello|good morning|good afternoon|good evening|hi|welcome|good night|goodbye|see you soon|hi there|hey",
    "digit": "zero|one|two|three|four|five|six|seven|eight|nine",
}

TEMPLATES = """{greet}, how are you {when}? #2
{greet}, {person}. #2
{greet}. #2
{greet}, my name is {person}. #2
{thanks} for your {thing}.
{thanks} for your help.
How are you? #2
I am fine, {thanks}. #2
{pro} are {feel}.
I am very {feel} {when}.
{person} is {feel} {when}.
{person} was {feel} {ago}.
{pro} {verb} the {thing} {when}. #3
{pro} {past} the {adj} {thing} {ago}. #3
{person} {past} a {adj} {thing}. #3
{person} {past} the {thing} near {place}. #3
{person} {went} to {place} {ago}. #3
{pro} {go} to {place} {when}. #2
Do you want to {verb} the {thing}? #2
Do you want to {go} to {place}? #2
Did {person} {verb} the {adj} {thing}? #2
Can you {verb} this {thing} for me? #2
Could you {verb} the {thing}, please? #2
Please {verb} the {adj} {thing}. #2
Please {verb} the {thing} {when}.
I would like a cup of {stuff}, please. #2
I would like some {stuff} and a {thing}. #2
We need more {stuff}.
There is some {stuff} on the {thing}.
There are {number} {unit} in the {thing}. #2
It costs {number} dollars. #2
It is {number} {unit} from here. #2
It takes {number} {unit} to get to {place}. #2
The {thing} is {adj} and {adj}. #2
The {adj} {thing} is on the {thing}. #3
The {thing} is in the {adj} {thing}. #2
The {thing} is near {place}. #2
This {thing} is too {adj} for me.
That {thing} was very {adj}. #2
Is the {thing} {adj}?
What a {adj} {thing}!
What time does the {thing} leave?
What time is it in {place}?
Where is the {adj} {thing}? #2
Where is {place}?
Where did you {verb} that {thing}? #2
Why did {person} {verb} it?
When will {person} {go} to {place}?
How much is the {adj} {thing}?
How long does it take to {verb} a {thing}?
Who {past} my {thing}? #2
The weather is {weather} {when}. #2
It is {weather} {when}.
It was {weather} {ago}.
Turn {dir} at {place}. #2
Turn {dir}, then {go} {number} {unit}. #2
{go} {dir} and turn {dir} at the {thing}. #2
The meeting is at {clock} on {day}. #2
The train leaves at {clock}. #2
It is {clock}. #2
Wake me up at {clock}, please.
See you {when}. #2
{person} will {do} {when}. #2
{person} will {go} to {place} {when}. #2
{person} can {do} {adv}.
{pro} have to {do} {adv}. #2
{sub} doesn't {do} {adv}. #2
{sub} didn't {verb} the {thing}. #2
I don't {verb} the {thing}, but I {verb} the {thing}. #2
If {pro} {verb} it, {pro} can {do}. #2
When {person} {went} home, it was {weather}. #2
I think that {person} is a {job}. #2
{person} is a {adj} {job}. #2
{person} wants to be a {job}.
Yes, {pro} can {do}. #2
No, {person} never {past} it. #2
Yes, of course.
No problem, {thanks}.
I am sorry, I did not hear you.
I am sorry, but the {thing} is {adj}. #2
Excuse me, where is {place}?
My {thing} and your {thing} are {adj}. #2
His {thing} is {adj}, hers is {adj}. #2
Her {adj} {thing} and their {adj} {thing}. #2
{person} said it was {adj}.
{person} told us about {place}.
Here is the {thing} you {past}. #2
Here is what I found about {place}. #2
I found {number} results for {thing}. #2
I have set a timer for {number} minutes. #2
Your {thing} will arrive at {clock}. #2
The answer is {number}. #3
The number is {digit} {digit} {digit} {digit}. #4
My phone number is {digit} {digit} {digit}, {digit} {digit} {digit} {digit}. #3
Today is {day}, {month} {ordinal}. #4
The date is {month} {ordinal}, {year}. #4
{person} was born on {month} {ordinal}. #2
It happened in {year}. #2
{number}, {number}, {number}. #3
About {number} percent of {place} is {adj}. #2
The temperature is {number} degrees. #2
You have {number} new messages. #2
Let me check that for you.
Let me {verb} the {thing} first. #2
Would you like me to {verb} the {thing}? #2
Is there anything else I can {verb}? #2
One moment, please.
Sure, I can {verb} the {thing} {when}. #2
I can help you {verb} the {thing}. #2
Of course, {pro} can {verb} it {when}. #2
Remember to {verb} your {thing}. #2
Nobody knows {how} {person} {past} it. #2
Tell me {how} {pro} {verb} the {thing}. #2
It was {adj}, so {pro} {past} the {thing}. #2
The {adj} {job} and the {adj} {job}. #2
{person} lives in a {adj} house near {place}. #2
{person} has {small} {unit} and a {thing}. #2
My favorite {thing} is {adj}.
{person} speaks {adv}. #1
After {number} {unit}, {person} {went} home. #2
First, {verb} the {thing}. Then {do}. #2
I have never {past} such a {adj} {thing}."""

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = ["-", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()

EVERYDAY = """Good morning, how are you today?
Please turn left at the next corner.
The weather is very nice this morning.
I would like a cup of coffee, please.
What time does the train leave?
We will meet you at the station.
Thank you very much for your help.
Can you tell me where the hotel is?
My sister lives in a small house near the river.
The book is on the table.
It is raining, so take your umbrella.
She has two children and a dog.
Do you want to go to the park?
I am sorry, I did not hear you.
The shop closes at seven in the evening.
He works in a big office in the city.
There are twenty students in the class.
Could you open the window, please?
We had dinner with our friends last night.
The doctor will see you in a few minutes.
Where did you buy that red coat?
The children are playing in the garden.
I forgot my keys on the kitchen table.
Call me when you get home.
This soup is too hot to eat.
My brother plays the guitar every evening.
We need some bread and butter.
The bus stops in front of the school.
They painted the door green last week.
You can leave your bag in the car.
Nobody was at home this afternoon.
I will send you a letter next month.
The cat is sleeping under the bed.
How much does this bottle of water cost?
Let us walk along the beach tomorrow.
The old man told us a long story.
Her birthday is in the middle of summer.
Please speak slowly, I am still learning.
The museum opens at half past nine.
We watched a good movie yesterday."""

DIGITS = """The meeting starts at 9:30 on Monday.
My phone number is 555 0142.
The ticket costs 25 dollars.
She was born on March 3rd, 1987.
There are 365 days in a year.
The train arrives at 6:45 in the evening.
It is 12 degrees outside.
They won 42 of 60 games.
Turn right after 200 feet.
He has 3 dogs and 11 cats.
The store is 4 miles from here.
About 50 percent of the people agree.
I will call you on June 21st.
Room 307 is on the third floor.
The flight leaves at 8:15.
We walked for 2 hours and 40 minutes.
Page 118 is missing.
The code is 7 9 0 4.
Add 150 grams of sugar.
It happened in 1999."""

PROSE = """The moon was bright above the quiet harbor.
A gentle wind moved across the yellow fields.
Scientists discovered a new kind of star.
The engine stopped just before the bridge.
Every morning the baker lights the oven.
Her voice was calm, but her hands were shaking.
The mountain road is closed in winter.
Music filled the narrow streets of the town.
The letter arrived three weeks too late.
A heavy storm destroyed the wooden boat.
The garden was full of roses and bees.
He carried the ladder to the apple tree.
The judge listened to both sides.
Snow covered the roof of the cabin.
Our plane landed in the middle of the night.
The river flows slowly toward the sea.
An empty bottle rolled across the floor.
The painter mixed blue and yellow.
They followed the path through the forest.
The clock on the tower struck eleven.
Strange noises came from the basement.
The young queen ruled for forty years.
A small fire burned in the kitchen stove.
The soldiers crossed the desert on foot.
Fresh bread smells better than perfume.
The teacher explained the rule once more.
Some birds can sleep while they fly.
The island has no roads and no cars.
Her answer surprised the whole class.
The machine needs oil and a new belt.
Winter came early to the northern valley.
The thief escaped through a broken window.
We counted the ships in the bay.
Old maps often show roads that are gone.
The child drew a house with a red door.
Silence fell over the crowded room.
The bridge was built two hundred years ago.
Two foxes ran across the frozen pond.
The orchestra played until midnight.
Light travels faster than sound."""


def spoken_number(value: int) -> str:
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (" " + _ONES[value % 10] if value % 10 else "")
    if value < 1000:
        return _ONES[value // 100] + " hundred" + (" " + spoken_number(value % 100) if value % 100 else "")
    return spoken_number(value // 1000) + " thousand" + (" " + spoken_number(value % 1000) if value % 1000 else "")


def _number(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.35:
        return spoken_number(draw.randrange(21))
    if kind < 0.7:
        return spoken_number(draw.randrange(100))
    if kind < 0.85:
        return spoken_number(draw.randrange(1000))
    if kind < 0.95:
        return spoken_number(draw.choice((1, 2, 3, 5, 10, 12, 20)) * 1000 + draw.choice((0, 0, draw.randrange(1000))))
    return f"{spoken_number(draw.randrange(20))} point {_ONES[draw.randrange(10)]}"


def _ordinal(draw: random.Random) -> str:
    day = draw.randrange(1, 32)
    if day <= 20:
        return _ORDINALS[day - 1]
    return "thirtieth" if day == 30 else f"{_TENS[day // 10]} {_ORDINALS[day % 10 - 1]}"


def _year(draw: random.Random) -> str:
    if draw.random() < 0.3:
        return f"two thousand {spoken_number(draw.randrange(1, 30))}"
    low = draw.randrange(10, 100)
    return f"{draw.choice(('eighteen', 'nineteen', 'nineteen', 'twenty'))} {spoken_number(low)}"


class Writer:
    """Writes clauses without end, by a seed. `words` feeds the random-word part, which is left out without them."""

    def __init__(self, seed: int, words: list[str] | None = None) -> None:
        self._draw = random.Random(seed)
        self._lists = {name: entries.split("|") for name, entries in LISTS.items()}
        weighted = (line.rpartition(" #") if " #" in line else (line, "", "1") for line in TEMPLATES.splitlines())
        self._templates = [text for text, _, weight in weighted for _ in range(int(weight))]
        self._words = words or []
        self._prose = list(prose())

    def _fill(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name == "number":
                return _number(self._draw)
            if name == "small":
                return spoken_number(self._draw.randrange(2, 13))
            if name == "ordinal":
                return _ordinal(self._draw)
            if name == "year":
                return _year(self._draw)
            return self._fill(self._draw.choice(self._lists[name]))

        return re.sub(r"\{(\w+)\}", value, text)

    def _random_words(self) -> str:
        chosen = [self._draw.choice(self._words) for _ in range(self._draw.randrange(2, 7))]
        common = [self._draw.choice(self._lists[self._draw.choice(("thing", "adj", "do", "stuff"))]) for _ in range(2)]
        mixed = chosen + common
        self._draw.shuffle(mixed)
        if self._draw.random() < 0.4:
            mixed[len(mixed) // 2] += ","
        return " ".join(mixed) + self._draw.choice((".", ".", ".", "?", "!"))

    def sentence(self) -> str:
        while True:
            kind = self._draw.random()
            if kind < 0.55 or not self._words:
                text = self._fill(self._draw.choice(self._templates))
            elif kind < 0.75:
                text = self._draw.choice(self._prose)
            else:
                text = self._random_words()
            text = re.sub(r"\ba ([aeiou])", r"an \1", text)
            text = text[0].upper() + text[1:]
            if len(text) <= MAX_CHARS:
                return text

    def __iter__(self) -> Iterator[str]:
        while True:
            yield self.sentence()


def prose() -> Iterator[str]:
    """Yield clauses of plain words from the language reference; markup, code and signs are left behind."""
    for text in topics.topics.values():
        for sentence in re.split(r"(?<=[.;:!?])\s+|\n\s*\n|[()]", text):
            clause = re.sub(r"\s+", " ", sentence.replace('"', "").replace("*", "")).strip(" ;:,.")
            for part in _shorten(clause):
                if re.fullmatch(r"[A-Za-z][a-z']+(,? [a-z']+){2,}", part) and len(part) >= 12:
                    yield part + "."


def _shorten(clause: str) -> list[str]:
    if len(clause) < MAX_CHARS:
        return [clause]
    return [
        part.strip() for part in re.split(r", |; | - | because | which | and ", clause) if 12 <= len(part) < MAX_CHARS
    ]


def held_out() -> dict[str, list[str]]:
    """Return the 100 sentences of the evaluation, by kind."""
    return {"everyday": EVERYDAY.splitlines(), "digits": DIGITS.splitlines(), "prose": PROSE.splitlines()}
