"""Defines clips: a wave at the codec's rate with its text, from the synthesiser or from a folder of recordings.

A clip from the synthesiser also knows its phones and which of them each frame belongs to; a recording does not, and the
trainer then goes without guided attention. All later stages see clips only.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from realtime.text.symbols import PHONES, STRESS, VOWELS
from training.flite import Flite, Phone, Speech

HOP = 960
FRAME_S = HOP / SAMPLE_RATE
TAIL_S = 0.08


@dataclass(frozen=True)
class VoiceRecipe:
    """Says how the synthesiser makes one voice.

    Pitch x 40 ms is a whole number, so that every frame starts at the same pitch phase.
    """

    name: str
    description: str
    f0_hz: float
    scale: float


VOICES = (
    VoiceRecipe("sam", "even, middle pitch", 100.0, 1.0),
    VoiceRecipe("ada", "bright, high pitch", 200.0, 1.1),
    VoiceRecipe("otto", "deep, low pitch", 75.0, 0.9609375),
)
STRETCH = 1.1


@dataclass(frozen=True)
class Clip:
    """Holds speech of whole frames with its text."""

    text: str
    speaker: str
    samples: np.ndarray  # [frames x HOP] float32
    symbols: list[str] = field(default_factory=list)  # the text in the phone notation, one token each
    owner: np.ndarray | None = None  # [frames] index into symbols


def spell(phones: list[Phone], final: str) -> tuple[list[str], list[tuple[int, float]]]:
    """Return the symbols of an utterance, and for every phone the symbol it became with the time it ends."""
    symbols: list[str] = []
    ends: list[tuple[int, float]] = []
    word = -1
    for index, phone in enumerate(phones):
        if phone.name == "pau":
            if index == len(phones) - 1:
                symbols.append(final)
            elif index:
                symbols.append(",")
            ends.append((max(0, len(symbols) - 1), phone.end_s))
            continue
        if symbols and phone.word != word:
            symbols.append(" ")
        word = phone.word
        symbols.append((STRESS if phone.stressed and phone.name in VOWELS else "") + PHONES[phone.name])
        ends.append((len(symbols) - 1, phone.end_s))
    return symbols, ends


def frame_count(speech: Speech) -> int:
    return max(1, int(np.ceil((speech.phones[-1].end_s - TAIL_S) / FRAME_S - 1e-3)))


def fit(speech: Speech, frames: int, gain: float = 1.0) -> np.ndarray:
    """Return the wave at the codec's rate, cut or padded to whole frames, without DC."""
    samples = soxr.resample(speech.samples, speech.sample_rate, SAMPLE_RATE) * gain
    samples = samples[: frames * HOP]
    samples = np.pad(samples, (0, frames * HOP - len(samples)))
    centred: NDArray[np.float32] = (samples - samples.mean()).astype(np.float32)
    return centred


def owners(ends: list[tuple[int, float]], frames: int) -> np.ndarray:
    """Return the symbol that sounds in the middle of each frame."""
    times = np.array([end for _, end in ends])
    middle = (np.arange(frames) + 0.5) * FRAME_S
    which = np.minimum(np.searchsorted(times, middle), len(ends) - 1)
    return np.array([index for index, _ in ends], np.int16)[which]


def synthesise(flite: Flite, text: str, voice: VoiceRecipe, gain: float = 1.0) -> Clip:
    """Speak a text by one voice of the synthesiser."""
    speech = flite.say(text, voice.f0_hz, scale=voice.scale, stretch=STRETCH)
    frames = frame_count(speech)
    symbols, ends = spell(speech.phones, text[-1] if text[-1] in ".?!" else ".")
    return Clip(text, voice.name, fit(speech, frames, gain), symbols, owners(ends, frames))


def write_folder(folder: Path, clips: Iterable[Clip]) -> int:
    """Write recordings as the Higgs training repositories keep them: name.wav, name.txt and one metadata.json."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for index, clip in enumerate(clips):
        name = f"{clip.speaker}_{index:06d}"
        write_wav(folder / f"{name}.wav", clip.samples)
        (folder / f"{name}.txt").write_text(clip.text + "\n", encoding="utf-8")
        entries.append(
            {
                "id": name,
                "audio_file": f"{name}.wav",
                "transcript_file": f"{name}.txt",
                "duration": round(len(clip.samples) / SAMPLE_RATE, 3),
                "speaker_id": clip.speaker,
                "speaker_name": clip.speaker,
                "scene": "quiet_room",
                "emotion": "neutral",
                "language": "en",
            }
        )
    info = {"dataset_info": {"total_samples": len(entries), "sample_rate": SAMPLE_RATE}, "samples": entries}
    (folder / "metadata.json").write_text(json.dumps(info, indent=1), encoding="utf-8")
    return len(entries)


def read_folder(folder: Path) -> Iterator[Clip]:
    """Yield the clips of such a folder, resampled and padded to whole frames. A recording that lacks a file is an
    error.
    """
    info = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    for entry in info["samples"]:
        samples, rate = read_wav(folder / entry["audio_file"])
        if rate != SAMPLE_RATE:
            samples = soxr.resample(samples, rate, SAMPLE_RATE)
        samples = np.pad(samples, (0, -len(samples) % HOP)).astype(np.float32)
        text = (folder / entry["transcript_file"]).read_text(encoding="utf-8").strip()
        yield Clip(text, entry.get("speaker_name") or entry["speaker_id"], samples)


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Return mono float32 and the sample rate of a 16-bit PCM file; several channels are averaged.

    Raises ValueError for other samples.
    """
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"{path}: {8 * file.getsampwidth()}-bit audio; convert it to 16-bit PCM first")
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768.0
        return data.reshape(-1, file.getnchannels()).mean(1), file.getframerate()
