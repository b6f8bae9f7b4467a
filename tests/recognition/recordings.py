"""Scope: people who speak, as Debian's pocketsphinx-testdata has them, and sounds in which nobody says a word."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from codec_stream.resample import resample
from tests.hearing import sounds

_DATA = Path("/usr/share/pocketsphinx/test/data/librivox")
AUSTEN = {
    "0870": "and mr john dashwood had then leisure to consider how much there might be prudently in his power to do "
    "for them",
    "0880": "he was not an ill disposed young man",
    "0920": "had he married a more amiable woman he might have been made still more respectable than he was",
    "0930": "he might even have been made amiable himself",
}
"""What is said in each, from LibriVox's reading of Sense and Sensibility."""


def path_of(number: str) -> Path:
    """The WAV file of one of the sentences."""
    path = _DATA / f"sense_and_sensibility_01_austen_64kb-{number}.wav"
    assert path.is_file(), f"{path} is missing: make system installs pocketsphinx-testdata"
    return path


def austen(number: str) -> bytes:
    """One of the sentences, as 24 kHz 16-bit mono PCM."""
    samples, rate = soundfile.read(path_of(number), dtype="float32")
    return pcm(resample(samples, rate, sounds.RATE))


def pcm(sound: NDArray[np.floating]) -> bytes:
    return sounds.pcm(np.asarray(sound, np.float64))


def plain(text: str) -> str:
    """A text by its words alone."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower().replace("'", "")).split())


def wordless() -> Iterator[tuple[str, bytes]]:
    """Silence, noises at several levels, hum, beeps, typing."""
    yield "silence", bytes(2 * 2 * sounds.RATE)
    for kind in ("white", "pink", "hum"):
        for level_db in (-60, -40, -25):
            for seconds in (1, 4):
                noise = sounds.noise(kind, seconds * sounds.RATE) * 10 ** (level_db / 20)
                yield f"{kind} {level_db} dB {seconds} s", pcm(noise)
    time = np.arange(3 * sounds.RATE) / sounds.RATE
    yield "beeps", pcm(0.2 * np.sin(2 * np.pi * 800 * time) * (time % 0.5 < 0.2))
    yield "typing", pcm(sounds.bursts(0.15, 0.03, 0.006, seconds=3.0))
