"""Reads untrusted WAV and FLAC files, and writes WAV files.

What comes in is recognised by its first bytes and its header is checked before anything is decoded, so that the other
parsers of libsndfile never see user input. Every refusal is one AudioError sentence: what is wrong, and the fix.
"""

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from codec_stream.errors import AudioError
from codec_stream.resample import resample

MAX_SECONDS = 30.0
MAX_BYTES = 10 * 1024 * 1024
MIN_SECONDS = 0.1
MIN_RATE_HZ, MAX_RATE_HZ = 8000, 192000
# Below this peak (about -72 dB) there is nothing but dither or the noise of an open line.
_SILENCE_PEAK = 2.5e-4
# Float files may exceed full scale a little; far above it the samples are integers or garbage.
_MAX_PEAK = 8.0
_SUBTYPES = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
# libsndfile's frame counts for a FLAC stream that does not state its length.
_UNKNOWN_FRAMES = 2**32
_UNKNOWN_BYTES = 0xFFFFFFFF


def read_reference(
    source: bytes | Path, *, sample_rate: int, max_seconds: float = MAX_SECONDS, max_bytes: int = MAX_BYTES
) -> NDArray[np.float32]:
    """Read a WAV or FLAC file, given as a path or as its bytes -> [samples at sample_rate], mono, full scale 1.

    Stereo is averaged. A WAV file that is cut off is read up to where it ends. Raises AudioError for anything that is
    not 1 or 2 channels of audible audio at 8 to 192 kHz, at least 0.1 s and at most `max_seconds` long, and for a file
    of more than `max_bytes`.
    """
    name = source.name if isinstance(source, Path) else "audio"
    data = _read_limited(source, name, max_bytes)
    if not (data[:4] == b"RIFF" and data[8:12] == b"WAVE") and data[:4] != b"fLaC":
        raise AudioError(f"{name}: is neither a WAV nor a FLAC file; convert it to 16-bit PCM WAV")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, name, max_seconds)
            samples = file.read(dtype="float32", always_2d=True)  # [frames, channels]
            rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{name}: is damaged or not plain WAV/FLAC ({error.error_string}); export it again") from error
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: has samples that are not finite numbers; export it again as 16-bit PCM WAV")
    mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
    peak = float(np.abs(mono).max(initial=0.0))
    if peak > _MAX_PEAK:
        raise AudioError(f"{name}: its samples reach {peak:.3g} times full scale; normalise it to at most 1")
    if peak < _SILENCE_PEAK:
        raise AudioError(f"{name}: is silent; record a clip in which the voice can be heard")
    return resample(mono, rate, sample_rate)


def _read_limited(source: bytes | Path, name: str, max_bytes: int) -> bytes:
    if isinstance(source, Path):
        if not source.is_file():
            raise AudioError(f"{name}: there is no such file; give the path of a WAV or FLAC file")
        try:
            with source.open("rb") as file:
                data = file.read(max_bytes + 1)
        except OSError as error:
            raise AudioError(f"{name}: cannot be read ({error.strerror}); check its permissions") from error
    else:
        data = source
    if len(data) > max_bytes:
        raise AudioError(f"{name}: is larger than {max_bytes / 2**20:.3g} MiB; use a shorter clip or FLAC")
    return data


def _check_header(file: soundfile.SoundFile, name: str, max_seconds: float) -> None:
    if file.format not in ("WAV", "WAVEX", "FLAC") or file.subtype not in _SUBTYPES:
        raise AudioError(f"{name}: is {file.format} with {file.subtype} samples; convert it to 16-bit PCM WAV")
    if file.channels not in (1, 2):
        raise AudioError(f"{name}: has {file.channels} channels; mix it down to mono or stereo")
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise AudioError(
            f"{name}: has a sample rate of {file.samplerate} Hz; resample it to {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        )
    if file.frames > _UNKNOWN_FRAMES:
        raise AudioError(f"{name}: does not say how long it is; export it again from a complete recording")
    seconds = file.frames / file.samplerate
    if seconds < MIN_SECONDS:
        raise AudioError(f"{name}: has only {seconds:.2f} s of audio; use a clip of at least {MIN_SECONDS} s")
    if seconds > max_seconds:
        raise AudioError(f"{name}: is {seconds:.1f} s long; cut it to at most {max_seconds:g} s")


def write_wav(target: Path | BinaryIO, pcm16: bytes | NDArray[np.int16], rate: int) -> None:
    """Write mono PCM16, little endian when given as bytes, as a complete WAV file at `rate` Hz.

    Raises ValueError for half a sample.
    """
    pcm = pcm16 if isinstance(pcm16, bytes) else pcm16.astype("<i2", casting="equiv").tobytes()
    if len(pcm) % 2:
        raise ValueError(f"PCM16 comes in whole samples of 2 bytes, got {len(pcm)} bytes")
    wav = wav_header(rate, frames=len(pcm) // 2) + pcm
    if isinstance(target, Path):
        target.write_bytes(wav)
    else:
        target.write(wav)


def wav_header(rate: int, channels: int = 1, frames: int | None = None) -> bytes:
    """Return the 44 bytes before the PCM16 samples of a WAV file at `rate` Hz.

    Without `frames` both sizes are 0xFFFFFFFF, which players take as "until the stream ends". Raises ValueError when
    the file would not fit WAV's 32-bit sizes.
    """
    frame_bytes = 2 * channels
    data_bytes = _UNKNOWN_BYTES if frames is None else frames * frame_bytes
    riff_bytes = _UNKNOWN_BYTES if frames is None else data_bytes + 36
    if riff_bytes > _UNKNOWN_BYTES:
        raise ValueError(f"{frames} frames do not fit a WAV file; leave out the length or split the audio")
    pcm_format, bits = 1, 16
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff_bytes,
        b"WAVE",
        b"fmt ",
        16,
        pcm_format,
        channels,
        rate,
        rate * frame_bytes,
        frame_bytes,
        bits,
        b"data",
        data_bytes,
    )
