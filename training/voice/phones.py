"""Translates the phone notation into the teacher's: nearly the same signs, and for every sign of ours what it says.

The teacher was trained on signs that write a vowel with r as two, give the flap of `better` a sign of its own, and
leave words like `of` and `the` without stress.
"""

from __future__ import annotations

import re

from realtime.text.symbols import PHONES, STRESS, VOWELS

UNSTRESSED = frozenset(
    (
        "ˈænd ˈʌv fˈɔɹ jˈu jˈɔɹ ˈɪz hˈæz hˈæv hˈæd ˈæt ˈɪt ˈɪn ˈɑn wˈɑz bˈɪn wˈɪl wˈʊd kˈʊd ʃˈʊd kˈæn mˈI mˈi wˈi hˈi "
        "ʃˈi ðˈA ˈɑɹ wˈɝ fɹˈʌm bˈʌt ˈæz ˈɔɹ ˈɪf ðˈæt wˈɪð hˈɪz hˈɝ hˈɪm ˈʌs ˈWɝ ˈɪts ˈæn bˈI dˈʌz dˈu dˈɪd bˈi ˈæm "
        "ðˈɛm ðˈɛɹ sˈO ðˈɪs"
    ).split()
)
"""Words that carry a mark in the notation and no stress in speech."""
SAID = {"ə": "ɐ", "ˈæn": "ɐn", "ˈɑn": "ɔn", "wˈɑz": "wʌz"}
"""Words that the teacher's notation writes with other vowels."""
FLAP = "ɾ"

_VOWELS = frozenset(PHONES[name] for name in VOWELS)
_SPLIT = re.compile(r"([ ,.?!\n])")


def to_teacher(notation: str) -> list[str]:
    """Return what the teacher reads for every character of the notation; empty for a mark that it does not say."""
    return [said for word in _SPLIT.split(notation) if word for said in _word(word)]


def _word(word: str) -> list[str]:
    if len(word) == 1 and word not in SAID:
        return [word]
    stressed = word not in UNSTRESSED
    written = SAID.get(word, word.replace(STRESS, ""))
    result, index = [], 0
    for at, sign in enumerate(word):
        if sign == STRESS:
            result.append(STRESS if stressed else "")
            continue
        vowel_before = at > 0 and (word[at - 1] in _VOWELS or word[at - 1] == "ɹ")
        if sign == "ɝ":
            result.append("ɜɹ" if at > 0 and word[at - 1] == STRESS and stressed else "əɹ")
        elif sign == "t" and vowel_before and word[at + 1 : at + 2] in _VOWELS and word[at + 1 : at + 3] != "ən":
            result.append(FLAP)
        else:
            result.append(written[index])
        index += 1
    return result
