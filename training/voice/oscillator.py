"""Makes an oscillator of the decoder's own weights: cosine and sine of the pitch phase, exact each quarter millisecond.

Latents end with a frame's length and place (`training.voice.phase`), in cycles. The phase at any time of the frame is
linear in the place and in the lengths of three frames, so convolutions can carry it up to a thousand times a second. Of
snakes x + sin(pi x)^2 / pi, three that are a third of a cycle apart cancel x and leave the cosine and sine of a whole
cycle times x. So the stock decoder holds an oscillator when its first channels have the right weights; they are set by
hand and stay as they are while the rest is trained. It has to be loud: then the snakes behind it make harmonics by
themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.causal import Block, CausalDecoder, bias_of

PITCH_DIMS = 2
GAIN = 3.0
PASS = 1e-5  # alpha of a snake that lets its channel through
RAW, COARSE, FINE = slice(0, 4), slice(3, 18), slice(0, 12)
"""The channels of the phase and its slopes at 25 Hz, of shifted phases at 200 Hz, which follow three raw ones, and of
shifted phases at 1 kHz."""

Frozen = list[tuple[Tensor, Any]]


def hold(frozen: Frozen) -> None:
    """Zero the gradient of what `wire` set, so that it stays."""
    for parameter, part in frozen:
        if parameter.grad is not None:
            parameter.grad[part] = 0


@torch.no_grad()
def wire(decoder: CausalDecoder, gain: float = GAIN) -> Frozen:
    """Set the oscillator's weights. Returns the parameters and the parts of them that must not change."""
    conv, blocks = decoder.conv1.conv, [block for block in decoder.block if isinstance(block, Block)]
    bias = bias_of(conv)
    first, second, third = (blocks[index].conv_t1.stride for index in range(3))
    conv.weight[RAW], bias[RAW] = 0, 0
    conv.weight[RAW, -PITCH_DIMS:] = torch.from_numpy(_phase_and_slopes()).float().transpose(1, 2)
    conv.weight[4:, -2] *= 0.1
    conv.weight[4:, -1] = 0  # only the oscillator reads the place: of the frame ahead it is not known in time
    blocks[0].snake1.alpha[:, RAW] = PASS
    frozen: Frozen = [
        (conv.weight, np.s_[RAW]),
        (bias, np.s_[RAW]),
        (conv.weight, np.s_[:, -1]),
        (blocks[0].snake1.alpha, np.s_[:, RAW]),
    ]
    up = blocks[0].conv_t1.conv
    bias = bias_of(up)
    up.weight[RAW], up.weight[:, :18], bias[:18] = 0, 0, 0
    for step in range(first):
        for half in range(3):
            up.weight[RAW, half, step] = _hermite((step + half / 2) / first)
        for part in range(second):
            for shift in range(3):
                up.weight[RAW, 3 + 3 * part + shift, step] = _hermite((step + part / second) / first)
    _shift(bias, 3, second)
    frozen += [(up.weight, np.s_[RAW]), (up.weight, np.s_[:, :18]), (bias, np.s_[:18])]
    blocks[1].snake1.alpha[:, :3], blocks[1].snake1.alpha[:, COARSE] = PASS, math.pi
    frozen += [(blocks[1].snake1.alpha, np.s_[:, :18])]
    up = blocks[1].conv_t1.conv
    bias = bias_of(up)
    up.weight[:18], up.weight[:, FINE], bias[FINE] = 0, 0, 0
    for step in range(second):
        for part in range(third):
            for shift in range(3):
                up.weight[:3, 3 * part + shift, step] = _lagrange((step + part / third) / second)
    _shift(bias, 0, third)
    up.weight[:, 12:14], bias[12:14] = 0, 0
    for part in range(second):
        _thirds(up, 3 + 3 * part, 12, part, gain)
    blocks[2].snake1.alpha[:, FINE] = math.pi
    frozen += [
        (up.weight, np.s_[:18]),
        (up.weight, np.s_[:, :14]),
        (bias, np.s_[:14]),
        (blocks[2].snake1.alpha, np.s_[:, FINE]),
    ]
    up = blocks[2].conv_t1.conv
    bias = bias_of(up)
    up.weight[FINE], up.weight[:, :2], bias[:2] = 0, 0, 0
    for part in range(third):
        _thirds(up, 3 * part, 0, part, gain)
    frozen += [(up.weight, np.s_[FINE]), (up.weight, np.s_[:, :2]), (bias, np.s_[:2])]
    for block, channels in ((blocks[0], 18), (blocks[1], 12)):  # nobody reads or writes the phase on its way
        for unit in (block.res_unit1, block.res_unit2, block.res_unit3):
            bias = bias_of(unit.conv2)
            unit.conv2.weight[:channels], bias[:channels] = 0, 0
            unit.conv1.conv.weight[:, :channels] = 0
            frozen += [
                (unit.conv2.weight, np.s_[:channels]),
                (bias, np.s_[:channels]),
                (unit.conv1.conv.weight, np.s_[:, :channels]),
            ]
    return frozen


def _phase_and_slopes() -> np.ndarray:
    """Return linear maps [4, 5, 2] from lengths and places in five frames, the last one ahead.

    They give the phase at the frame's start, the slopes at its start and end, and its cycles.
    """
    rows = np.zeros((4, 5, 2))
    rows[0, 3] = (-1, 1)
    rows[1, 2, 0] = rows[1, 3, 0] = rows[2, 3, 0] = rows[2, 4, 0] = 0.5
    rows[3, 3, 0] = 1
    return rows


def _hermite(u: float) -> Tensor:
    return torch.tensor([1.0, u**3 - 2 * u**2 + u, u**3 - u**2, 3 * u**2 - 2 * u**3])


def _lagrange(v: float) -> Tensor:
    """Return the weights that interpolate values at 0, 1/2 and 1 to the value at v."""
    return torch.tensor([2 * (v - 0.5) * (v - 1), -4 * v * (v - 1), 2 * v * (v - 0.5)])


def _shift(bias: Tensor, first: int, parts: int) -> None:
    for part in range(parts):
        for shift in range(3):
            bias[first + 3 * part + shift] = shift / 3


def _thirds(up: torch.nn.ConvTranspose1d, first: int, into: int, tap: int, gain: float) -> None:
    """Cosine and sine into channels `into` and `into` + 1 at one tap, from three snakes a third of a cycle apart."""
    bias = bias_of(up)
    for channel, sign, wave in ((into, -1.0, math.cos), (into + 1, 1.0, math.sin)):
        weights = [sign * gain * 4 / 3 * math.pi * wave(2 * math.pi * shift / 3) for shift in range(3)]
        for shift in range(3):
            up.weight[first + shift, channel, tap] = weights[shift]
        bias[channel] = -sum(weights[shift] * shift / 3 for shift in range(3))
