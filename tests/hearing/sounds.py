"""Scope: what detectors are tried on: two clips that the built-in checkpoint spoke, noises, and things that are loud
and no speech. Audio is float64 [samples at 24 kHz], full scale 1; noises have a level of 1 rms."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 24000
Sound = NDArray[np.float64]


def clip(name: str, peak: float = 0.25) -> Sound:
    """`question` ("What is the weather going to be like tomorrow?") or `yes`, from its first sound to its last."""
    samples, rate = soundfile.read(Path(__file__).parent / f"{name}.flac", dtype="float64")
    assert rate == RATE
    blocks = samples[: len(samples) // 240 * 240].reshape(-1, 240)
    loud = np.sqrt((blocks**2).mean(axis=1))
    (sounding,) = np.nonzero(loud > loud.max() * 10 ** (-35 / 20))
    speech = samples[sounding[0] * 240 : (sounding[-1] + 1) * 240]
    return np.asarray(speech / np.abs(speech).max() * peak)


def silence(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE))


def pcm(sound: Sound) -> bytes:
    return np.clip(np.rint(sound * 32767), -32768, 32767).astype("<i2").tobytes()


def noise(kind: str, samples: int, seed: int = 7) -> Sound:
    rng, time = np.random.default_rng(seed), np.arange(samples) / RATE
    match kind:
        case "white":
            sound = rng.standard_normal(samples)
        case "pink":
            spectrum = np.fft.rfft(rng.standard_normal(samples))
            sound = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), samples)
        case _:
            sound = np.sum([np.sin(2 * np.pi * 50 * n * time + n) / n for n in range(1, 8)], axis=0)
    return np.asarray(sound / np.sqrt(np.mean(sound**2)))


def with_noise(sound: Sound, speech: Sound, kind: str, snr_db: float) -> Sound:
    """The sound over noise that is `snr_db` weaker than the speech in it."""
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-snr_db / 20)
    return np.asarray(sound + noise(kind, len(sound)) * level)


def bursts(every_s: float, length_s: float, decay_s: float, seconds: float = 12.0) -> Sound:
    """Clicks, typing, slammed doors: noise that dies away."""
    sound, rng = silence(seconds), np.random.default_rng(3)
    time = np.arange(round(length_s * RATE)) / RATE
    for at in np.arange(0.5, seconds - length_s - 0.1, every_s):
        start = round(at * RATE)
        sound[start : start + len(time)] = 0.4 * rng.standard_normal(len(time)) * np.exp(-time / decay_s)
    return sound


def tones(*hertz: float, on_s: float = 12.0, off_s: float = 0.0, seconds: float = 12.0) -> Sound:
    time = np.arange(round(seconds * RATE)) / RATE
    sounding = time % (on_s + off_s) < on_s
    return np.asarray(0.2 * sounding * np.mean([np.sin(2 * np.pi * f * time) for f in hertz], axis=0))


def chords(seconds: float = 12.0) -> Sound:
    """A plucked string instrument: four chords in turn, two in a second."""
    time, parts = np.arange(RATE // 2) / RATE, []
    for beat in range(round(seconds * 2)):
        root = (220.0, 262.0, 330.0, 196.0)[beat % 4]
        partials = [np.sin(2 * np.pi * root * m * k * time) / k for m in (1, 1.25, 1.5) for k in (1, 2, 3, 4)]
        parts.append(0.08 * np.sum(partials, axis=0) * np.exp(-3 * time))
    return np.concatenate(parts)
