"""Turns English text into the phone notation of `symbols`, which checkpoints read whose manifest asks for `phonemes`.

It is the notation that the checkpoint was trained on, sign for sign: words with a space between, a comma where the
speaker pauses, one of `.?!` at the end of each sentence and a space behind it, `[SPEAKERn]` tags followed by a space,
and a line break before a tag within the text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from realtime.text import vocabulary as known
from realtime.text.dictionary import entries
from realtime.text.letters import sound_out
from realtime.text.normalise import TAG, normalise
from realtime.text.symbols import PHONES, STRESS, VOWELS

_VOWELS = frozenset(PHONES[name] for name in VOWELS)
_SYMBOLS = frozenset(PHONES.values()) | {STRESS}
_SIBILANTS = frozenset("szʃʒʧʤ")
_VOICELESS = frozenset("ptkfθ")
_ENDINGS = {"ve": "v", "ll": "l", "d": "d", "m": "m", "re": "ɝ"}
_LETTERS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (
            "A bˈi sˈi dˈi ˈi ˈɛf ʤˈi ˈAʧ ˈI ʤˈA kˈA ˈɛl ˈɛm ˈɛn ˈO pˈi kjˈu ˈɑɹ ˈɛs tˈi jˈu vˈi dˈʌbəlju ˈɛks wˈI zˈi"
        ).split(),
        strict=True,
    )
)
_SPELLED = frozenset(
    (
        "ai api cpu gpu ceo cfo cto cia dna eu fbi faq gps html http https id io ip iq mba nba nfl nhl pc pdf phd rna "
        "sos sql suv tv tvs uk un url us usa usb vip vpn www"
    ).split()
)
"""Abbreviations that are spelled out, though the dictionary or the rules would read them as words. Those in the next
set are spelled out only in capitals."""
_SPELLED_IN_CAPITALS = frozenset(["ai", "eu", "id", "io", "ip", "it", "us", "un", "or"])

_SHORT_WORDS = frozenset(
    "all am an and any are art as ask at bad be big box but buy by can car day did do dog end for get go got had has "
    "he her hi him his hot how if in is it let man may me my new no not now of off ok old on one or our out put red "
    "run sad say see she so the to too top two up use war was way we who why win yes yet you".split()
)
"""Short words that are read as words even in capitals. Any other word of up to three capitals is spelled out."""

_SAID = {
    "does": "dˈʌz", "lives": "lˈɪvz", "miz": "mˈɪz", "tuple": "tˈʌpəl", "oh": "ˈO", "hmm": "hˈʌm", "mm": "ˈʌm",
    "codec": "kˈOdɛk", "wifi": "wˈIfˈI", "email": "ˈimˈAl", "emails": "ˈimˈAlz", "app": "ˈæp", "apps": "ˈæps",
}  # fmt: skip
_VERBS = {
    "use": "jˈuz", "close": "klˈOz", "object": "əbʤˈɛkt", "produce": "pɹədˈus", "live": "lˈɪv", "record": "ɹɪkˈɔɹd",
    "present": "pɹizˈɛnt",
}  # fmt: skip
"""Words that sound different as verbs than as nouns. They are read like this unless a word of the next set, which only
a noun follows, stands before them."""
_NOUN_BEHIND = frozenset(
    ("a an the this that my your his her its our their of no more in with any some very is are was").split()
)
_READ_BEHIND = frozenset(
    (
        "to can could will would shall should may might must do did don't didn't doesn't can't won't please and let's "
        "i'll you'll we'll they'll i you"
    ).split()
) | {""}

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[.?!]+|\n+|[^\S\n]+|.", re.DOTALL)


def to_phonemes(text: str) -> str:
    """Write `text` in the phone notation; text with nothing to say gives an empty string.

    Any string is taken. Letters of other alphabets are written in Latin ones first, ideographs are counted aloud, and
    whatever else has a sound is named.
    """
    pieces, tag, first = [], "", True
    for part in TAG.split(normalise(text)):
        if TAG.fullmatch(part):
            tag = part
            continue
        spoken = _sentences(part)
        if spoken and tag:
            pieces.append(("" if first else "\n") + f"{tag} {spoken}")
        elif spoken:
            pieces.append(spoken)
        if spoken:
            tag, first = "", False
    return "".join(pieces)


def _sentences(text: str) -> str:
    """Write one speaker's text in the phone notation."""
    result: list[str] = []
    words: list[str] = []  # of the sentence so far: symbols, or "," for a pause
    before = ""
    shouted = text.isupper()
    tokens = _TOKEN.findall(text)
    for index, token in enumerate(tokens):
        head = token[0]
        if head.isalpha():
            for word in _latin(token):
                spoken = _say(word, before, shouted)
                if spoken:
                    words.append(spoken)
                before = word.lower()
        elif head in ".?!" or (head == "\n" and _new_sentence(tokens, index)):
            _finish(result, words, next((mark for mark in "?!" if mark in token), "."))
            words, before = [], ""
        elif head == "-":
            around = tokens[max(0, index - 1) : index + 2 : 2]
            if words and words[-1] != "," and all(side[0].isspace() or side == "-" for side in around):
                words.append(",")
        elif head.isspace() or head in "'\"":
            continue
        elif unicodedata.category(head)[0] in "PZ" or head == ",":
            if words and words[-1] != ",":
                words.append(",")
        else:
            words += [_say(word, "", False) for word in _named(head)]
    _finish(result, words, ".")
    return " ".join(result)


def _new_sentence(tokens: list[str], at: int) -> bool:
    """Tell whether a line break at `at` ends the sentence. A line that goes on in small letters still belongs to it."""
    behind = next((token for token in tokens[at + 1 :] if not token.isspace()), "")
    return not behind[:1].islower()


def _finish(result: list[str], words: list[str], mark: str) -> None:
    while words and words[-1] == ",":
        words.pop()
    if words:
        _the_before_vowels(words)
        result.append(" ".join(words).replace(" ,", ",") + mark)


def _the_before_vowels(words: list[str]) -> None:
    for index in range(len(words) - 1):
        if words[index] == "ðə" and words[index + 1].lstrip(STRESS)[:1] in _VOWELS:
            words[index] = "ði"


def _say(word: str, before: str, shouted: bool) -> str:
    """Return the symbols of one word of Latin letters and apostrophes; `before` is the word in front of it, in small
    letters.
    """
    if all(character in _SYMBOLS for character in word) and not word.isascii():
        return _stressed(word)
    small = word.lower()
    if len(word) > 2 and small.endswith("s") and word[-1] == "s" and word[:-1].rstrip("'").isupper():
        return _plural(_say(word[:-1].rstrip("'"), before, shouted))
    capitals = word.isupper() and len(word) > 1 and not shouted
    if small in _SPELLED and (small not in _SPELLED_IN_CAPITALS or capitals):
        return _spell(small)
    if capitals and (small in _SPELLED_IN_CAPITALS or (len(small) <= 3 and small not in _SHORT_WORDS)):
        return _spell(small)
    if word == "A" and before:
        return _LETTERS["a"]
    if small == "read":
        return "ɹˈid" if before in _READ_BEHIND else "ɹˈɛd"
    if small in _VERBS and before not in _NOUN_BEHIND:
        return _VERBS[small]
    return pronounce(small)


def _stressed(symbols: str) -> str:
    """Put each stress of a word that is written in symbols right before its vowel: it may stand before the syllable,
    as in IPA. A stress without a vowel behind it says nothing."""
    result, waits = "", False
    for symbol in symbols:
        if symbol == STRESS:
            waits = True
            continue
        if waits and symbol in _VOWELS:
            result, waits = result + STRESS, False
        result += symbol
    return result


@lru_cache(maxsize=20_000)
def pronounce(word: str) -> str:
    """Return the symbols of a lower-case word: from the dictionary, from words it is made of, by rule, or spelled
    out.
    """
    if word in _SAID:
        return _SAID[word]
    known_as = entries().get(word)
    if known_as and not _VOWELS.isdisjoint(known_as):
        return known_as
    base, mark, ending = word.rpartition("'")
    if mark:
        return _shortened(base, ending)
    if not set(word) & set("aeiouy"):
        return _spell(word)
    return _derived(word) or _compound(word) or _by_rule(word)


def _by_rule(word: str) -> str:
    phones = sound_out(word)
    return _spell(word) if _VOWELS.isdisjoint(phones) else phones


def _shortened(base: str, ending: str) -> str:
    phones = pronounce(base)
    if ending == "s":
        return _plural(phones)
    if ending == "t":
        return phones + ("t" if base.endswith("n") else "ət")
    return phones + (_ENDINGS.get(ending) or pronounce(ending))


def _plural(phones: str) -> str:
    if phones[-1:] in _SIBILANTS:
        return phones + "əz"
    return phones + ("s" if phones[-1:] in _VOICELESS else "z")


def _past(phones: str) -> str:
    if phones[-1:] in ("t", "d"):
        return phones + "ɪd"
    return phones + ("t" if phones[-1:] in _VOICELESS | frozenset("sʃʧ") else "d")


def _stem(word: str, ending: str) -> str | None:
    """Return the symbols of the known word that `ending` was put behind: hop+ped, hope+d, carr(y)ied."""
    if not word.endswith(ending) or len(word) < len(ending) + 3:
        return None
    base = word[: len(word) - len(ending)]
    if base in _SAID:
        return _SAID[base]
    forms = (
        [base, base + "e"]
        + ([base[:-1]] if base[-1] == base[-2] else [])
        + ([base[:-1] + "y"] if base[-1] == "i" else [])
    )
    return next((entries()[form] for form in forms if form in entries()), None)


def _derived(word: str) -> str | None:
    if phones := _stem(word, "ing"):
        return phones + "ɪŋ"
    if phones := _stem(word, "ed"):
        return _past(phones)
    if (phones := _stem(word, "es")) or (phones := _stem(word, "s")):
        return _plural(phones)
    for ending, sound in (
        ("ly", "li"),
        ("er", "ɝ"),
        ("ness", "nəs"),
        ("less", "ləs"),
        ("able", "əbəl"),
        ("ment", "mənt"),
    ):
        if phones := _stem(word, ending):
            return phones + sound
    for start, sound in (
        ("un", "ən"),
        ("re", "ɹi"),
        ("non", "nˈɑn"),
        ("sub", "sˈʌb"),
        ("multi", "mˈʌltˈi"),
        ("pre", "pɹi"),
    ):
        if word.startswith(start) and len(word) >= len(start) + 4 and word[len(start) :] in entries():
            return sound + entries()[word[len(start) :]]
    return None


def _compound(word: str) -> str | None:
    """Read a word as two known words of at least three letters each, whose lengths differ as little as possible."""
    places = sorted(range(3, len(word) - 2), key=lambda at: abs(len(word) - 2 * at))
    for at in places if len(word) <= 24 else ():
        left, right = entries().get(word[:at]), entries().get(word[at:])
        if left and right and not _VOWELS.isdisjoint(left) and not _VOWELS.isdisjoint(right):
            return left + right
    return None


def _spell(word: str) -> str:
    """Name the letters of a word, each as a word of its own."""
    return " ".join(_LETTERS[letter] for letter in word if letter in _LETTERS)


def _latin(token: str) -> list[str]:
    """Write a word of any script in words of the letters a-z and apostrophes; capitals stay capitals."""
    token = token.replace("’", "'")
    if token.isascii():
        return _parts(token)
    if all(character in _SYMBOLS for character in token):
        return [token]
    written: list[str] = []
    ideographs = 0
    for character in token:
        if character.isascii():
            written.append(character)
        elif "CJK" in (name := unicodedata.name(character, "")) and "IDEOGRAPH" in name:
            ideographs += 1
        else:
            written.append(_transcribe(character, name))
    words = re.findall(r"[A-Za-z]+(?:'[A-Za-z]+)*", "".join(written))
    if ideographs:
        words += normalise(f"{ideographs} Chinese character{'s' if ideographs > 1 else ''}").split()
    return words


def _parts(token: str) -> list[str]:
    """Split a word at its inner capitals: `GitHub` and `ChatGPT` are two words each, `LLMs` is one."""
    if token.islower() or token.isupper() or token.istitle() or token.lower() in entries():
        return [token]
    if re.fullmatch(r"[A-Z]{2,}'?s", token):
        return [token]
    return re.findall(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+(?:'[a-z]+)*|[A-Z]+", token)


@lru_cache(maxsize=4096)
def _transcribe(character: str, name: str) -> str:
    small = character.lower()
    marked = name.startswith(("LATIN", "GREEK", "CYRILLIC"))
    plain = "".join(part for part in unicodedata.normalize("NFKD", small) if part.isalpha()) if marked else small
    written = []
    for part in plain or small:
        for letters in (known.LATIN, known.GREEK, known.CYRILLIC):
            if part in letters:
                written.append(letters[part].strip("-"))
                break
        else:
            written.append(part if "a" <= part <= "z" else _letter_name(unicodedata.name(part, "")))
    result = "".join(written)
    return result.upper() if character != small and len(result) == 1 else result


def _letter_name(name: str) -> str:
    """Return how a letter is read by its Unicode name: `HIRAGANA LETTER KA` is ka, `HANGUL SYLLABLE HAN` is han.

    Any letter is read by the last word of its name.
    """
    return "".join(letter for letter in name.rpartition(" ")[2].lower() if "a" <= letter <= "z")


def _named(character: str) -> list[str]:
    """A sign without a reading of its own, by its Unicode name."""
    if unicodedata.category(character)[0] == "M":
        return []  # an accent belongs to the letter before it
    name = unicodedata.name(character, "sign").lower()
    return re.findall(r"[a-z]+", name)
