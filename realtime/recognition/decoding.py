"""From the audio of an utterance to its text, over any Whisper.

Whisper was trained on 30 s of sound, and spends most of its work on the silence behind a short utterance. Here it is
shown the speech and one second more. Such a context may make it say things twice; then, and where it doubts its text,
it looks again with 6 s more, and at last with all 30.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from codec_stream.resample import StreamResampler
from realtime.recognition.features import FRAMES_PER_S, RATE_HZ, log_mel
from realtime.recognition.guard import compression_ratio, made_up, needs_longer_context, surely_silent
from realtime.recognition.recogniser import Job, NothingHeard, Segment, Transcript, Word
from realtime.recognition.vocabulary import Timed, Vocabulary

FULL_S = 30.0
_CLEARLY_SHORTER_S = 24.0
_POSITIONS_PER_S = 50
_MOST_TOKENS = 224
_SURE_OF_LANGUAGE = 0.6
_TOKENS_AT_LEAST, _TOKENS_PER_S = 24, 15
"""Nobody says more: a loop is stopped there."""


@dataclass(frozen=True)
class Climb:
    """The contexts that are tried one after the other: so many seconds after the speech, at least so many in all."""

    steps: tuple[tuple[float, float], ...] = ((1.0, 0.0), (6.0, 10.0))

    def contexts(self, speech_s: float) -> list[float]:
        """Their lengths in seconds, shortest first; the last is always 30, and the one before it clearly shorter unless
        it is the first."""
        tried = [max(speech_s + more, least) for more, least in self.steps]
        return [*(c for c in tried[:1] if c < FULL_S), *(c for c in tried[1:] if c < _CLEARLY_SHORTER_S), FULL_S]


SHORT = Climb()
ALWAYS_FULL = Climb(())


@dataclass(frozen=True)
class Decoded:
    """What a model made of some audio: ids, the mean log-probability of one, how likely there is no speech at all."""

    tokens: list[int]
    logprob: float
    no_speech: float


class Whisper(Protocol):
    """A Whisper that is loaded. `encoded` is whatever its `encode` gives."""

    bands: int
    multilingual: bool

    def encode(self, features: NDArray[np.float32]) -> Any:
        """Look at features [bands, frames]."""

    def languages(self, encoded: Any) -> list[tuple[str, float]]:
        """Which languages it may be, likeliest first."""

    def decode(self, encoded: Any, prompt: list[int], most_tokens: int) -> Decoded:
        """Write the text down that goes on from the prompt, greedily."""

    def align(self, encoded: Any, start: list[int], tokens: list[int], frames: int) -> list[tuple[int, int]]:
        """Which token is heard where: pairs of a token's place among `tokens` and a time in 20 ms, in order."""


@dataclass(frozen=True)
class _Reading:
    """A text for some audio at one context, with what words' times need."""

    encoded: Any
    language: str
    likely: float  # the language, where it was found
    segments: list[Timed]
    decoded: Decoded

    @property
    def tokens(self) -> list[int]:
        return [token for segment in self.segments for token in segment.tokens]


class Decoder:
    """Understands utterances of at most 30 s, one after the other."""

    def __init__(self, model: Whisper, vocabulary: Vocabulary, climb: Climb = SHORT) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._climb = climb

    def understand(self, job: Job) -> Transcript:
        """Give the text of a job's audio. Raises NothingHeard."""
        samples = at_16_khz(job.pcm)
        speech_s = len(samples) / RATE_HZ
        if not len(samples):
            raise NothingHeard("There is no audio.")
        for context_s in self._climb.contexts(speech_s):
            reading = self._read(samples, job, context_s)
            text = self._vocabulary.text(reading.tokens).strip()
            if surely_silent(reading.decoded.logprob, reading.decoded.no_speech):
                break
            cut_off = len(reading.decoded.tokens) >= _most_tokens(speech_s)
            doubts = reading.likely < _SURE_OF_LANGUAGE or needs_longer_context(
                reading.tokens, text, reading.decoded.logprob, reading.decoded.no_speech
            )
            if not cut_off and not doubts:
                break
        if why := made_up(text, reading.decoded.logprob, reading.decoded.no_speech):
            raise NothingHeard(why)
        segments = tuple(self._segment(segment, reading.decoded, speech_s) for segment in reading.segments)
        words = self._words(reading, job, speech_s) if job.words else ()
        spoken = " ".join(segment.text for segment in segments)
        return Transcript(spoken, "en" if job.translate else reading.language, speech_s, segments, words)

    def _read(self, samples: NDArray[np.float32], job: Job, context_s: float) -> _Reading:
        frames = 2 * math.ceil(context_s * FRAMES_PER_S / 2)
        encoded = self._model.encode(log_mel(samples, self._model.bands, frames))
        language, likely = self._language(encoded, job)
        prompt = self._vocabulary.before(job.prompt) + self._vocabulary.start(language, translate=job.translate)
        speech_s = len(samples) / RATE_HZ
        decoded = self._model.decode(encoded, prompt, _most_tokens(speech_s))
        heard = [segment for segment in self._vocabulary.segments(decoded.tokens) if segment.start_s < speech_s]
        return _Reading(encoded, language, likely, heard, decoded)

    def _language(self, encoded: Any, job: Job) -> tuple[str, float]:
        if not self._model.multilingual or job.language:
            return job.language or "en", 1.0
        return self._model.languages(encoded)[0]

    def _segment(self, segment: Timed, decoded: Decoded, speech_s: float) -> Segment:
        text = self._vocabulary.text(segment.tokens).strip()
        end = speech_s if segment.end_s is None else min(segment.end_s, speech_s)
        ratio = compression_ratio(text)
        return Segment(text, segment.start_s, max(end, segment.start_s), decoded.logprob, decoded.no_speech, ratio, 0.0)

    def _words(self, reading: _Reading, job: Job, speech_s: float) -> tuple[Word, ...]:
        start = self._vocabulary.start(reading.language, translate=job.translate)
        frames = math.ceil(speech_s * FRAMES_PER_S)
        pairs = self._model.align(reading.encoded, start, reading.tokens, frames)
        begins = _beginnings(pairs, len(reading.tokens), speech_s)
        words, at = [], 0
        for text, count in self._vocabulary.words(reading.tokens, reading.language):
            if text := text.strip():
                words.append(Word(text, begins[at], begins[at + count]))
            at += count
        return tuple(words)


def at_16_khz(pcm: bytes) -> NDArray[np.float32]:
    """24 kHz 16-bit mono PCM -> [samples at 16 kHz], full scale 1."""
    resampler = StreamResampler(SAMPLE_RATE, RATE_HZ)
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.int16)
    resampled = np.concatenate([resampler.push(samples), resampler.flush()])
    return (resampled / np.float32(32768)).astype(np.float32)


def _most_tokens(speech_s: float) -> int:
    return min(_MOST_TOKENS, _TOKENS_AT_LEAST + math.ceil(_TOKENS_PER_S * speech_s))


def _beginnings(pairs: Sequence[tuple[int, int]], count: int, speech_s: float) -> list[float]:
    """When each of so many tokens begins, and when the last one ends; never before the one in front of it."""
    first: dict[int, int] = {}
    for token, position in pairs:
        first.setdefault(token, position)
    times, last = [], 0.0
    for token in range(count + 1):
        time = first[token] / _POSITIONS_PER_S if token in first else (speech_s if token == count else last)
        last = min(max(time, last), speech_s)
        times.append(last)
    return times
