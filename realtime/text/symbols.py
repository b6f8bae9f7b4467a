"""Defines the phone notation: one character for each phone, `ˈ` before a stressed vowel, a space between words.

Punctuation is kept. The phones are the 40 of flite and of the CMU dictionary (with schwa apart). The characters are IPA
where IPA has a single one, and capitals for the diphthongs. Text that is already in this notation passes through the
tokenizer one symbol at a time.
"""

from __future__ import annotations

STRESS = "ˈ"
PHONES: dict[str, str] = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "W", "ax": "ə", "ay": "I", "eh": "ɛ", "er": "ɝ", "ey": "A",
    "ih": "ɪ", "iy": "i", "ow": "O", "oy": "Y", "uh": "ʊ", "uw": "u",
    "b": "b", "ch": "ʧ", "d": "d", "dh": "ð", "f": "f", "g": "ɡ", "hh": "h", "jh": "ʤ", "k": "k", "l": "l", "m": "m",
    "n": "n", "ng": "ŋ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t", "th": "θ", "v": "v", "w": "w", "y": "j",
    "z": "z", "zh": "ʒ",
}  # fmt: skip
VOWELS = frozenset(["aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"])
PUNCTUATION = ",.?!"
