"""Defines translators: they turn what is said in one language, as it is said, into words of another.

`Translator` is what a speech translation pipeline looks like from outside. `PhraseTranslator` is the one that is built
in: it hears nothing, takes its transcripts from the client, and knows a few dozen phrases.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

from realtime.translation.phrases import PHRASES, TARGETS

PIECE_MS = 200


@dataclass(frozen=True)
class AudioPiece:
    """Holds 200 ms of what is said (16-bit mono PCM at 24 kHz), and where in the input it ends, in milliseconds."""

    pcm: bytes
    end_ms: int


@dataclass(frozen=True)
class Words:
    """Holds a piece of a given transcript: what was said in the audio before it, up to `end_ms`."""

    text: str
    end_ms: int


@dataclass(frozen=True)
class Transcribed:
    """Holds a piece of the source transcript. Joined in order, the pieces are the transcript."""

    text: str


@dataclass(frozen=True)
class Rendered:
    """Holds a piece of the translation, spaces included.

    Where `translated` is false, these are source words that have no translation. `complete` says that a sentence ends
    here and can be spoken.
    """

    text: str
    translated: bool = True
    complete: bool = False


class Translator(Protocol):
    """Translates speech from one language into others.

    `transcripts` says where its transcripts come from: "given" ones are fed to it as `Words`.
    """

    @property
    def name(self) -> str:
        """Return the name by which clients are told what translates."""

    @property
    def transcripts(self) -> Literal["given", "heard"]:
        """Say who understands the speech: the client ("given") or the translator ("heard")."""

    @property
    def source(self) -> str:
        """Return the language it translates from, as a code without a region: en."""

    @property
    def targets(self) -> Sequence[str]:
        """List the languages it translates into, as codes without a region."""

    def translate(
        self, source: AsyncIterator[AudioPiece | Words], target: str
    ) -> AsyncIterator[Transcribed | Rendered]:
        """Translate until the source ends, and then what is left of it. `target` is one of `targets`.

        Pieces of the transcript and of the translation are yielded as they are ready.
        """


_PHRASE_END = re.compile(r"(?<![.!?…,;:])[.!?…,;:]++[\"')\]]*+(?=\s|$)|\n")
_SENTENCE_END = re.compile(r"[.!?…\n]")
_MARKS, _QUOTES = ".!?…,;:", "\"'()[]“”‘’"
_CONTRACTIONS = {"i'm": "i am", "what's": "what is", "where's": "where is", "don't": "do not", "you're": "you are"}
_OPENING = {"es": {"?": "¿", "!": "¡"}}
_PAUSE_PIECES = 10
_LONGEST_CHARS = 1000


class PhraseTranslator:
    """Translates English into German, Spanish and French by a table of everyday phrases.

    It exercises translation sessions while no real translator is attached, and is no more than that. A phrase is what
    stands between punctuation marks. A phrase also ends when it is longer than 1000 characters, or when two seconds of
    audio bring no further word. It is translated as a whole or not at all: put together from single words it would be
    wrong, and nobody would notice.
    """

    name = "phrases"
    transcripts: Literal["given", "heard"] = "given"
    source = "en"
    targets: Sequence[str] = TARGETS

    async def translate(
        self, source: AsyncIterator[AudioPiece | Words], target: str
    ) -> AsyncIterator[Transcribed | Rendered]:
        """Translate phrase by phrase. Raises KeyError for a target that is not served."""
        phrases = _Phrases(target)
        async for piece in source:
            if isinstance(piece, Words):
                yield Transcribed(piece.text)
            for rendered in phrases.take(piece):
                yield rendered
        for rendered in phrases.finish():
            yield rendered


class _Phrases:
    """Collects the words of one stream until their phrase ends, and translates each phrase."""

    def __init__(self, target: str) -> None:
        self._table = PHRASES[target]
        self._opening = _OPENING.get(target, {})
        self._waiting = ""
        self._quiet_pieces = 0
        self._mid_sentence = False

    def take(self, piece: AudioPiece | Words) -> list[Rendered]:
        if isinstance(piece, AudioPiece):
            self._quiet_pieces += 1
            return self.finish() if self._quiet_pieces == _PAUSE_PIECES else []
        self._quiet_pieces = 0
        self._waiting += piece.text
        end = max((match.end() for match in _PHRASE_END.finditer(self._waiting)), default=0)
        if len(self._waiting) - end > _LONGEST_CHARS:
            end = len(self._waiting)
        ready, self._waiting = self._waiting[:end], self._waiting[end:]
        return self._render(ready)

    def finish(self) -> list[Rendered]:
        """Translate what waits, as the end of its sentence."""
        ready, self._waiting = self._waiting, ""
        rendered = self._render(ready)
        if self._mid_sentence:
            rendered.append(Rendered("", complete=True))
        self._mid_sentence = False
        return rendered

    def _render(self, text: str) -> list[Rendered]:
        ends = [0, *(match.end() for match in _PHRASE_END.finditer(text)), len(text)]
        pieces = [text[begin:end].strip() for begin, end in pairwise(ends)]
        rendered = [self._phrase(piece) for piece in pieces if any(map(str.isalnum, piece))]
        if rendered:
            self._mid_sentence = not rendered[-1].complete
        return rendered

    def _phrase(self, piece: str) -> Rendered:
        words = piece.rstrip(_MARKS + _QUOTES).lstrip(_QUOTES)
        mark = "".join(character for character in piece[len(piece.rstrip(_MARKS + _QUOTES)) :] if character in _MARKS)
        complete = _SENTENCE_END.search(mark) is not None
        known = self._table.get(_key(words))
        if known is None:
            return Rendered(f"{piece} ", translated=False, complete=complete)
        if words[:1].isupper():
            known = known[:1].upper() + known[1:]
        return Rendered(f"{self._opening.get(mark[:1], '')}{known}{mark} ", complete=complete)


def _key(words: str) -> str:
    """Return a phrase in the form that the table has it."""
    plain = words.lower().replace("’", "'").replace(",", "")
    return " ".join(_CONTRACTIONS.get(word, word) for word in plain.split())
