"""Computes the decoder's shape in time: which columns each layer needs around the ones it makes.

Pure arithmetic on kernel sizes, so that the streaming decoder's buffers, lags and look-ahead are derived and tested
without running anything. A *column* is one time step of one layer; a layer runs at `rate` columns per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    """Describes a stride-1 convolution: output column i reads input columns i - left … i + right."""

    left: int
    right: int

    @property
    def stride(self) -> int:
        """Return 1: a convolution keeps the number of columns."""
        return 1


@dataclass(frozen=True)
class Upsampling:
    """Describes a transposed convolution of stride s and kernel 2s.

    Output column o reads input columns (o + padding) // stride and the one before; the first `silent` taps are zero, so
    the newest input column counts only from output column o with (o + padding) % stride >= silent on.
    """

    stride: int
    padding: int
    silent: int

    @property
    def left(self) -> int:
        """Return 1: an output column also reads the input column before its own."""
        return 1

    @property
    def right(self) -> int:
        """Return how many output columns before a block's end already need the next input column."""
        return max(0, self.padding - self.silent)


@dataclass(frozen=True)
class Span:
    """Says what one layer does per chunk of n frames, in columns.

    It takes n * rate_in + extra_in new columns next to `buffer` kept ones and makes n * rate_out + extra_out. `lag_in`
    and `lag_out` say how far behind the newest frame its input and output run (exact mode; 0 in low-latency mode).
    """

    rate_in: int
    rate_out: int
    buffer: int
    lag_in: int
    lag_out: int
    extra_in: int
    extra_out: int


def lay_out(layers: Sequence[Convolution | Upsampling], look_ahead: int | None) -> list[Span]:
    """Plan all layers.

    With `look_ahead` None (exact) every layer waits for its right context. Otherwise (low-latency) every layer works up
    to the newest frame at once, with at most `look_ahead` frames of provisional context behind it.
    """
    rates = [1]
    for layer in layers:
        rates.append(rates[-1] * layer.stride)
    wanted = _provisional(layers, rates, look_ahead) if look_ahead is not None else [0] * len(rates)
    spans, lag = [], 0
    for index, layer in enumerate(layers):
        waits = layer.right if look_ahead is None else 0
        lag_out = lag * layer.stride + waits
        kept = layer.left + (waits if isinstance(layer, Convolution) else 0)
        spans.append(Span(rates[index], rates[index + 1], kept, lag, lag_out, wanted[index], wanted[index + 1]))
        lag = lag_out
    return spans


def reach_ahead(layers: Sequence[Convolution | Upsampling]) -> int:
    """Return how many output columns an exact output of the whole stack runs behind its input."""
    return lay_out(layers, None)[-1].lag_out


def _provisional(layers: Sequence[Convolution | Upsampling], rates: Sequence[int], look_ahead: int) -> list[int]:
    """Return how many columns past the newest frame each layer's input must hold so that the frame itself is whole."""
    wanted = [0]
    for layer, rate in zip(reversed(layers), reversed(rates[:-1]), strict=True):
        behind = wanted[-1] + layer.right
        wanted.append(min(-(-behind // layer.stride), look_ahead * rate))
    return wanted[::-1]
