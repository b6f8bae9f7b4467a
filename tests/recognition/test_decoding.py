"""Scope: from audio to text over a scripted Whisper, which says what it is told to at each context."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel

from realtime.recognition.decoding import ALWAYS_FULL, SHORT, Climb, Decoded, Decoder, at_16_khz
from realtime.recognition.recogniser import Job, NothingHeard
from realtime.recognition.vocabulary import Vocabulary
from tests.codec_stream.signals import tone

WORDS = [" he", " was", " not", " an", " ill", "-disposed", " young", " man", ".", " you"]
SPECIAL = [
    "endoftext", "startoftranscript", "en", "fr", "translate", "transcribe", "startofprev", "nospeech", "notimestamps",
]  # fmt: skip
IDS = {f"<|{name}|>": len(WORDS) + at for at, name in enumerate(SPECIAL)}
TIME_0 = len(WORDS) + len(SPECIAL)
SECONDS = 3.0
PCM = bytes(round(SECONDS * 48000))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Tokenizer(WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token=" you"))
    made.decoder = Fuse()
    made.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in SPECIAL])
    path = tmp_path_factory.mktemp("whisper") / "tokenizer.json"
    made.save(str(path))
    return path


def text(*words: str) -> list[int]:
    return [WORDS.index(word) for word in words]


def at(seconds: float) -> int:
    return TIME_0 + round(seconds / 0.02)


SENTENCE = text(" he", " was", " not", " an", " ill", "-disposed", " young", " man", ".")
HEARD = Decoded([at(0.0), *SENTENCE, at(2.8)], -0.3, 0.02)
LOOP = Decoded([at(0.0), *SENTENCE, *SENTENCE, at(2.8)], -0.3, 0.02)
NOISE = Decoded([at(0.0), *text(" you"), at(2.0)], -0.9, 0.8)


class Scripted:
    """A Whisper whose texts are given by the context in seconds; it keeps what it was asked."""

    bands = 80

    def __init__(self, says: Callable[[float], Decoded], multilingual: bool = False) -> None:
        self.multilingual = multilingual
        self.contexts: list[float] = []
        self.prompts: list[list[int]] = []
        self.aligned: list[tuple[list[int], int]] = []
        self._says = says
        self.sure_from_s = 0.0

    def encode(self, features: NDArray[np.float32]) -> float:
        assert features.shape[0] == self.bands and features.shape[1] % 2 == 0
        self.contexts.append(features.shape[1] / 100)
        return self.contexts[-1]

    def languages(self, encoded: float) -> list[tuple[str, float]]:
        return [("fr", 0.9), ("en", 0.1)] if encoded >= self.sure_from_s else [("en", 0.3), ("fr", 0.2)]

    def decode(self, encoded: float, prompt: list[int], most_tokens: int) -> Decoded:
        self.prompts.append(prompt)
        return self._says(encoded)

    def align(self, encoded: Any, start: list[int], tokens: list[int], frames: int) -> list[tuple[int, int]]:
        self.aligned.append((start, frames))
        return [(token, 10 * token) for token in range(len(tokens) + 1)]


def _decoder(tokenizer: Path, whisper: Scripted, climb: Climb = SHORT) -> Decoder:
    return Decoder(whisper, Vocabulary(tokenizer, multilingual=whisper.multilingual), climb)


def test_a_good_text_needs_the_speech_and_a_second_more(tokenizer: Path) -> None:
    whisper = Scripted(lambda _: HEARD)
    said = _decoder(tokenizer, whisper).understand(Job(PCM))
    assert whisper.contexts == [4.0]
    assert said.text == "he was not an ill-disposed young man."
    assert (said.language, said.duration_s) == ("en", SECONDS)
    (segment,) = said.segments
    assert (segment.start_s, segment.end_s, segment.avg_logprob) == (0.0, 2.8, -0.3)
    assert whisper.prompts == [[IDS["<|startoftranscript|>"]]]


def test_a_loop_climbs_to_longer_contexts_until_it_is_gone(tokenizer: Path) -> None:
    whisper = Scripted(lambda context: HEARD if context > 10 else LOOP)
    assert _decoder(tokenizer, whisper).understand(Job(PCM)).text == "he was not an ill-disposed young man."
    assert whisper.contexts == [4.0, 10.0, 30.0]


@pytest.mark.parametrize(
    ("speech_s", "contexts"),
    [(1.0, [2.0, 10.0, 30.0]), (8.0, [9.0, 14.0, 30.0]), (20.0, [21.0, 30.0]), (26.0, [27.0, 30.0]), (29.5, [30.0])],
)
def test_contexts_grow_from_the_speech_to_thirty_seconds(speech_s: float, contexts: list[float]) -> None:
    assert SHORT.contexts(speech_s) == contexts
    assert ALWAYS_FULL.contexts(speech_s) == [30.0]


def test_segments_that_begin_after_the_audio_are_dropped_and_ends_are_held_to_it(tokenizer: Path) -> None:
    beyond = Decoded([at(0.0), *SENTENCE, at(3.4), at(3.4), *text(" you"), at(3.9)], -0.3, 0.02)
    said = _decoder(tokenizer, Scripted(lambda _: beyond)).understand(Job(PCM))
    assert [segment.text for segment in said.segments] == ["he was not an ill-disposed young man."]
    assert said.segments[0].end_s == SECONDS


@pytest.mark.parametrize("says", [NOISE, Decoded([], -0.1, 0.1), Decoded([at(3.2), *SENTENCE], -0.3, 0.02)])
def test_no_words_are_told_as_nothing(tokenizer: Path, says: Decoded) -> None:
    with pytest.raises(NothingHeard, match=r"There (is|are) no (speech|words) in the audio\."):
        _decoder(tokenizer, Scripted(lambda _: says)).understand(Job(PCM))


def test_silence_is_not_looked_at_twice(tokenizer: Path) -> None:
    silent = Decoded([at(0.0), *text(" you")], -1.3, 0.95)
    whisper = Scripted(lambda _: silent)
    with pytest.raises(NothingHeard, match="no speech"):
        _decoder(tokenizer, whisper).understand(Job(PCM))
    assert whisper.contexts == [4.0]


def test_no_audio_is_nothing_without_a_look(tokenizer: Path) -> None:
    whisper = Scripted(lambda _: HEARD)
    with pytest.raises(NothingHeard):
        _decoder(tokenizer, whisper).understand(Job(b""))
    assert not whisper.contexts


def test_a_text_without_end_is_stopped_and_looked_at_again(tokenizer: Path) -> None:
    varied = [at(0.0), *np.random.default_rng(2).integers(0, 8, 223).tolist()]
    whisper = Scripted(lambda context: HEARD if context == 30 else Decoded(varied, -0.2, 0.0))
    assert _decoder(tokenizer, whisper).understand(Job(PCM)).text.endswith("man.")


def test_the_language_is_found_unless_it_is_given(tokenizer: Path) -> None:
    whisper = Scripted(lambda _: HEARD, multilingual=True)
    decoder = _decoder(tokenizer, whisper)
    assert [decoder.understand(Job(PCM, language=given)).language for given in ("", "en")] == ["fr", "en"]
    assert decoder.understand(Job(PCM, translate=True)).language == "en"
    start, transcribe = IDS["<|startoftranscript|>"], IDS["<|transcribe|>"]
    assert whisper.prompts == [
        [start, IDS["<|fr|>"], transcribe],
        [start, IDS["<|en|>"], transcribe],
        [start, IDS["<|fr|>"], IDS["<|translate|>"]],
    ]


def test_a_language_that_is_not_sure_asks_for_a_longer_context(tokenizer: Path) -> None:
    whisper = Scripted(lambda _: HEARD, multilingual=True)
    whisper.sure_from_s = 10.0
    decoder = _decoder(tokenizer, whisper)
    assert decoder.understand(Job(PCM)).language == "fr"
    assert whisper.contexts == [4.0, 10.0]
    whisper.sure_from_s = 99.0
    assert decoder.understand(Job(PCM)).language == "en"
    assert whisper.contexts[2:] == [4.0, 10.0, 30.0]


def test_a_prompt_stands_before_as_what_was_said_earlier(tokenizer: Path) -> None:
    whisper = Scripted(lambda _: HEARD)
    _decoder(tokenizer, whisper).understand(Job(PCM, prompt="man"))
    assert whisper.prompts == [[IDS["<|startofprev|>"], *text(" man"), IDS["<|startoftranscript|>"]]]


def test_words_have_the_times_of_their_tokens_within_the_audio(tokenizer: Path) -> None:
    whisper = Scripted(lambda _: HEARD)
    words = _decoder(tokenizer, whisper).understand(Job(PCM, words=True)).words
    assert [word.text for word in words] == ["he", "was", "not", "an", "ill-disposed", "young", "man."]
    assert [round(word.start_s, 2) for word in words] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.2, 1.4]
    assert [round(word.end_s, 2) for word in words] == [0.2, 0.4, 0.6, 0.8, 1.2, 1.4, 1.8]
    assert whisper.aligned == [([IDS["<|startoftranscript|>"]], 300)]
    short = _decoder(tokenizer, Scripted(lambda _: HEARD)).understand(Job(PCM[:24000], words=True)).words
    assert all(word.start_s <= word.end_s <= 0.5 for word in short)


def test_speech_comes_to_16_khz_by_the_projects_resampler() -> None:
    samples = at_16_khz(tone(440, 24000, 1.0).astype("<i2").tobytes())
    assert len(samples) == 16000 and samples.dtype == np.float32
    assert int(np.argmax(np.abs(np.fft.rfft(samples)))) == 440
