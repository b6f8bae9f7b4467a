"""Conceals missing packets of a waveform codec (G.711, G.722).

The last pitch period goes on, seam after seam, and fades to silence; when real audio returns it is cross-faded in. As
in G.711 Appendix I, but without its delay of 3.75 ms: the step at the first seam is spread instead.
"""

import numpy as np
from numpy.typing import NDArray

_HISTORY_SECONDS = 0.045
_TEMPLATE_SECONDS = 0.020
# Pitch from 400 down to 60 Hz.
_SHORTEST_PERIOD_SECONDS, _LONGEST_PERIOD_SECONDS = 0.0025, 0.0165
# Below this correlation there is no pitch; the longest period buzzes least.
_VOICED = 0.4
_FULL_SECONDS, _SILENT_SECONDS = 0.010, 0.060
_SEAM_SECONDS, _RETURN_SECONDS = 0.0025, 0.005


class Concealer:
    """Conceals gaps in one stream of int16 mono audio at `rate` Hz: it takes what was decoded, and makes up what was
    not.
    """

    def __init__(self, rate: int) -> None:
        self._template = round(rate * _TEMPLATE_SECONDS)
        self._shortest, self._longest = round(rate * _SHORTEST_PERIOD_SECONDS), round(rate * _LONGEST_PERIOD_SECONDS)
        self._full, self._silent = round(rate * _FULL_SECONDS), round(rate * _SILENT_SECONDS)
        self._seam, self._return = round(rate * _SEAM_SECONDS), round(rate * _RETURN_SECONDS)
        self._history = np.zeros(round(rate * _HISTORY_SECONDS), dtype=np.int16)
        self._cycle: NDArray[np.float64] | None = None
        self._step = 0.0
        self._made = 0  # samples since the last real one

    def hear(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take the next decoded audio [samples] and return it, faded in over 5 ms if it follows audio that was made
        up.
        """
        if self._cycle is not None and len(pcm):
            fading = min(self._return, len(pcm))
            made = self._make(self._cycle, fading)
            share = np.arange(1, fading + 1) / (fading + 1)
            pcm = pcm.copy()
            pcm[:fading] = np.rint(pcm[:fading] * share + made * (1 - share))
            self._cycle = None
        self._remember(pcm)
        return pcm

    def conceal(self, samples: int) -> NDArray[np.int16]:
        """Make up what may have been said in the next `samples`: 10 ms at full level, silent from 60 ms on."""
        if self._cycle is None:
            self._cycle, self._made = self._last_cycle(), 0
            # How far the last real sample lies above the one that the cycle would put there.
            self._step = float(self._history[-1]) - self._cycle[-1]
        pcm: NDArray[np.int16] = np.rint(self._make(self._cycle, samples)).astype(np.int16)
        self._remember(pcm)
        return pcm

    def _remember(self, pcm: NDArray[np.int16]) -> None:
        kept = len(self._history)
        self._history = pcm[-kept:] if len(pcm) >= kept else np.concatenate([self._history[len(pcm) :], pcm])

    def _make(self, cycle: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
        at = np.arange(self._made, self._made + samples)
        self._made += samples
        gain = np.clip((self._silent - at) / (self._silent - self._full), 0, 1)
        spread = self._step * np.clip(1 - (at + 1) / self._seam, 0, 1)
        made: NDArray[np.float64] = np.clip((cycle[at % len(cycle)] + spread) * gain, -32768, 32767)
        return made

    def _last_cycle(self) -> NDArray[np.float64]:
        """Return the last pitch period, its end bent towards what came before its start, so that it repeats without a
        seam.
        """
        past = self._history.astype(np.float64)
        period = self._period(past)
        cycle = past[-period:].copy()
        bent = min(self._seam, period // 2)
        share = np.arange(1, bent + 1) / (bent + 1)
        cycle[-bent:] += share * (past[-period - bent : -period] - cycle[-bent:])
        return cycle

    def _period(self, past: NDArray[np.float64]) -> int:
        template = past[-self._template :]
        earlier = past[-self._template - self._longest : -self._shortest]
        # Entry i compares the template with the audio that lies `longest` - i samples before it.
        products = np.correlate(earlier, template, "valid")
        squares = np.concatenate([[0.0], np.cumsum(earlier**2)])
        energies = squares[self._template :] - squares[: -self._template]
        likeness = products / np.sqrt(np.maximum(energies * np.dot(template, template), 1.0))
        best = float(likeness.max())
        if best < _VOICED:
            return self._longest
        # A period's multiples fit about as well as the period itself: take the shortest that fits.
        return self._longest - int(np.flatnonzero(likeness > 0.97 * best)[-1])
