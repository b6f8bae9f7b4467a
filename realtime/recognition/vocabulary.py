"""Whisper's vocabulary, read from a `tokenizer.json`: prompts into ids, ids into text, times and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

_TIMESTAMPS_PER_S = 50
_MOST_PROMPT_TOKENS = 200
_BROKEN = "\ufffd"
_UNSPACED = {"zh", "ja", "th", "lo", "my", "yue", "km"}
"""Languages written without spaces: each token that is a whole character counts as a word."""


@dataclass(frozen=True)
class Timed:
    """The tokens of a segment's text, and its times in seconds; `end_s` is None where the model told none."""

    start_s: float
    end_s: float | None
    tokens: list[int]


class Vocabulary:
    """One checkpoint's. Raises ValueError for a tokenizer that is not Whisper's."""

    def __init__(self, tokenizer: Path, *, multilingual: bool) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._multilingual = multilingual
        self.end = self._special("endoftext")
        self._times_from = self._special("notimestamps") + 1

    def _special(self, name: str) -> int:
        token = self._tokenizer.token_to_id(f"<|{name}|>")
        if token is None:
            raise ValueError(f"its tokenizer has no <|{name}|>")
        return int(token)

    def start(self, language: str, *, translate: bool) -> list[int]:
        """What stands before every text. Text with times is asked for."""
        start = [self._special("startoftranscript")]
        if self._multilingual:
            start += [self._special(language), self._special("translate" if translate else "transcribe")]
        return start

    def before(self, prompt: str) -> list[int]:
        """What a prompt puts before that: its last tokens, as text that was said earlier."""
        if not prompt.strip():
            return []
        said = self._tokenizer.encode(f" {prompt.strip()}", add_special_tokens=False).ids
        return [self._special("startofprev"), *said[-_MOST_PROMPT_TOKENS:]]

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without what is no text."""
        return str(self._tokenizer.decode([token for token in tokens if token < self.end]))

    def segments(self, tokens: Sequence[int]) -> Iterator[Timed]:
        """The pieces between timestamps."""
        start, held = 0.0, list[int]()
        for token in tokens:
            if token < self.end:
                held.append(token)
            elif token >= self._times_from:
                time = (token - self._times_from) / _TIMESTAMPS_PER_S
                if held:
                    yield Timed(start, time, held)
                start, held = time, []
        if held:
            yield Timed(start, None, held)

    def words(self, tokens: Sequence[int], language: str) -> Iterator[tuple[str, int]]:
        """The words of a text, each with how many of the tokens it takes."""
        word, count = "", 0
        for text, taken in self._characters(tokens):
            begins = text.startswith(" ") or (language in _UNSPACED and any(map(str.isalnum, text)))
            if begins and any(map(str.isalnum, word)):
                yield word, count
                word, count = "", 0
            word, count = word + text, count + taken
        if count:
            yield word, count

    def _characters(self, tokens: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Text of as few tokens at a time as make whole characters."""
        held: list[int] = []
        for token in tokens:
            held.append(token)
            if _BROKEN not in (text := self.text(held)):
                yield text, len(held)
                held = []
        if held:
            yield self.text(held), len(held)
