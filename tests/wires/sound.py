"""Scope: what is said to the server (recordings of speech), and what of its speech is recorded: how long it is, and how
loud in each half second. Not the samples: how streams are batched may change the last bit of one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

RATE = 24000
_HEARING = Path(__file__).parents[1] / "hearing"
_PER_S = 2
_FLOOR_DB = -70


def clip(name: str) -> bytes:
    """`question` or `yes`: 16-bit PCM at 24 kHz."""
    samples, rate = soundfile.read(_HEARING / f"{name}.flac", dtype="int16")
    assert rate == RATE
    return bytes(samples.astype("<i2").tobytes())


def clip_file(name: str) -> bytes:
    """The same as a FLAC file."""
    return (_HEARING / f"{name}.flac").read_bytes()


def silence(seconds: float) -> bytes:
    """PCM in which nobody speaks."""
    return bytes(2 * round(seconds * RATE))


def pcm_shown(pcm: bytes, rate: int = RATE) -> dict[str, Any]:
    """16-bit PCM as it is recorded."""
    return sound_shown(np.frombuffer(pcm, "<i2").astype(np.float64) / 32768, rate)


def sound_shown(samples: np.ndarray, rate: int) -> dict[str, Any]:
    """Samples of full scale 1 as they are recorded."""
    block = rate // _PER_S
    levels = [_db(samples[at : at + block]) for at in range(0, len(samples), block)]
    return {"samples": len(samples), "decibels": levels}


def file_shown(data: bytes) -> dict[str, Any]:
    """A sound file as it is recorded: what it is, and the sound in it."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        planar = av.AudioResampler("fltp", "mono", stream.rate)
        parts = [part.to_ndarray()[0] for frame in frames for part in planar.resample(frame)]
        sound = sound_shown(np.concatenate(parts).astype(np.float64), stream.rate)
        kind = {"container": container.format.name, "codec": stream.codec_context.name, "rate": stream.rate}
        return {**kind, "channels": stream.codec_context.channels, **sound}


def _db(samples: np.ndarray) -> int:
    level = float(np.sqrt(np.mean(samples**2)))
    return max(_FLOOR_DB, round(20 * np.log10(level))) if level > 0 else _FLOOR_DB
