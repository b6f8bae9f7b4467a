"""Makes speech from rows and phase knots, the same samples for the same numbers.

Every whole cycle of the phase starts a pulse of minimum phase; noise, shaped each ten milliseconds, fills what is not
periodic. It stands between the synthesiser and the codec: what is learned is speech that a code can say exactly.
"""

from __future__ import annotations

import numpy as np

from training.speech import HOP
from training.voice import phase
from training.voice.rows import FFT, PARTS, STEP, envelope, noise_share

LEAST = 1e-12


def synthesise(rows: np.ndarray, knots: np.ndarray, seed: int = 1, warp: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the pulses and the noise of frames, [frames x HOP] float32 each; their sum is the speech.

    `rows` are [frames x PARTS, ROW], `knots` [frames + 1]. `seed` draws the noise, `warp` moves the formants. Raises
    ValueError where the two do not fit.
    """
    if len(rows) != PARTS * (len(knots) - 1):
        raise ValueError(f"{len(rows)} rows do not fit {len(knots) - 1} frames; there are {PARTS} rows to a frame")
    power, noise = envelope(rows, warp), noise_share(rows)
    return _pulses(power, noise, knots), _hiss(power, noise, seed)


def _pulses(power: np.ndarray, noise: np.ndarray, knots: np.ndarray) -> np.ndarray:
    cycles = phase.at_samples(knots)
    whole = np.floor(cycles)
    hit = np.flatnonzero(np.diff(whole) > 0)
    speed = np.maximum(cycles[hit + 1] - cycles[hit], 1e-6)
    late = (whole[hit + 1] - cycles[hit]) / speed
    level = _at(power, hit + late) + np.log(np.maximum(1 - _at(noise, hit + late), LEAST)) - np.log(speed)[:, None]
    delay = np.exp(-1j * np.pi * np.arange(FFT // 2 + 1) / (FFT // 2) * late[:, None])
    responses = np.fft.irfft(_minimum_phase(level) * delay, FFT, axis=1)
    result = np.zeros(len(cycles) + FFT)
    for at, response in zip(hit, responses, strict=True):
        result[at : at + FFT] += response
    return result[: len(cycles)].astype(np.float32)


def _hiss(power: np.ndarray, noise: np.ndarray, seed: int) -> np.ndarray:
    length, size = len(power) * STEP, 2 * STEP
    source = np.pad(np.random.default_rng(seed).normal(0, 1, length + size), (STEP, size))
    centres = np.arange(0, length + STEP, STEP)
    shape = _minimum_phase(_at(power, centres) + np.log(np.maximum(_at(noise, centres), LEAST)))
    pieces = np.stack([source[at : at + size] for at in centres]) * np.hanning(size + 1)[:-1]
    shaped = np.fft.irfft(np.fft.rfft(pieces, FFT, axis=1) * shape, FFT, axis=1)
    result = np.zeros(length + FFT + HOP)
    for at, piece in zip(centres, shaped, strict=True):
        result[at : at + FFT] += piece
    return result[STEP : STEP + length].astype(np.float32)


def _at(table: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return the rows at sample times, by straight lines between their middles."""
    where = np.clip(samples / STEP - 0.5, 0, len(table) - 1)
    low = np.minimum(where.astype(int), len(table) - 2)
    share = (where - low)[:, None]
    return np.asarray(table[low] * (1 - share) + table[low + 1] * share)


def _minimum_phase(log_power: np.ndarray) -> np.ndarray:
    """Return complex spectra of minimum phase, [n, bins]."""
    cepstrum = np.fft.irfft(log_power / 2, FFT, axis=1)
    cepstrum[:, 1 : FFT // 2] *= 2
    cepstrum[:, FFT // 2 + 1 :] = 0
    return np.asarray(np.exp(np.fft.rfft(cepstrum, FFT, axis=1)))
