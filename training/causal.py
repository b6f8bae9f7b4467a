"""Defines a causal DAC decoder for training, and exports it into the stock, symmetric one.

The stock decoder pads every kernel on both sides and so looks about ten frames ahead. Here each kernel holds only the
taps that look back (and, in the first layer, `LOOKAHEAD` taps that look ahead by one frame each), which halves the
arithmetic of training. `export` writes them into the stock module with zeros for the taps that are not there, so the
exported decoder is the unchanged class and gives the same output; `recover` takes them back from such a module.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOOKAHEAD = 1


class Snake(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


class PastConv(nn.Module):
    """Convolves with the half of a k7 kernel that looks back, plus `ahead` taps that do not."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int = 1, ahead: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, 4 + ahead, dilation=dilation)
        self.padding = (3 * dilation, ahead * dilation)

    def forward(self, x: Tensor) -> Tensor:
        wave: Tensor = self.conv(F.pad(x, self.padding))
        return wave

    @torch.no_grad()
    def export(self, into: nn.Conv1d) -> None:
        into.weight.zero_()
        into.weight[..., : self.conv.weight.shape[-1]] = self.conv.weight
        bias_of(into).copy_(bias_of(self.conv))

    @torch.no_grad()
    def recover(self, stock: nn.Conv1d) -> None:
        taps = self.conv.weight.shape[-1]
        _must_be_zero(stock.weight[..., taps:])
        self.conv.weight.copy_(stock.weight[..., :taps])
        bias_of(self.conv).copy_(bias_of(stock))


class PastUpsample(nn.Module):
    """Upsamples by a transposed convolution whose input frame never reaches an output before that frame's first."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.stride, self.cut = stride, math.ceil(stride / 2)
        self.conv = nn.ConvTranspose1d(channels_in, channels_out, 2 * stride - self.cut, stride)

    def forward(self, x: Tensor) -> Tensor:
        wave: Tensor = self.conv(x)
        return wave[..., : x.shape[-1] * self.stride]

    @torch.no_grad()
    def export(self, into: nn.ConvTranspose1d) -> None:
        into.weight.zero_()
        into.weight[..., self.cut :] = self.conv.weight
        bias_of(into).copy_(bias_of(self.conv))

    @torch.no_grad()
    def recover(self, stock: nn.ConvTranspose1d) -> None:
        _must_be_zero(stock.weight[..., : self.cut])
        self.conv.weight.copy_(stock.weight[..., self.cut :])
        bias_of(self.conv).copy_(bias_of(stock))


class Unit(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.snake1, self.conv1 = Snake(channels), PastConv(channels, channels, dilation)
        self.snake2, self.conv2 = Snake(channels), nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(self.snake2(self.conv1(self.snake1(x))))
        return x + change


class Block(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.snake1, self.conv_t1 = Snake(channels_in), PastUpsample(channels_in, channels_out, stride)
        self.res_unit1, self.res_unit2, self.res_unit3 = (Unit(channels_out, d) for d in (1, 3, 9))

    def forward(self, x: Tensor) -> Tensor:
        wave: Tensor = self.res_unit3(self.res_unit2(self.res_unit1(self.conv_t1(self.snake1(x)))))
        return wave


class CausalDecoder(nn.Module):
    """Decodes latents [B, C, frames] to a wave [B, 1, frames x hop]."""

    def __init__(self, channels_in: int, hidden: int, ratios: list[int]) -> None:
        super().__init__()
        self.conv1 = PastConv(channels_in, hidden, ahead=LOOKAHEAD)
        self.block = nn.ModuleList(Block(hidden >> i, hidden >> (i + 1), r) for i, r in enumerate(ratios))
        self.snake1 = Snake(hidden >> len(ratios))
        self.conv2 = PastConv(hidden >> len(ratios), 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for block in self.block:
            x = block(x)
        wave: Tensor = self.conv2(self.snake1(x))
        return wave

    @torch.no_grad()
    def export(self, into: nn.Module) -> None:
        """Copy the weights into a stock `DacDecoder` of the same sizes."""
        ours = dict(self.named_modules())
        for name, stock in into.named_modules():
            own = ours.get(name)
            if isinstance(own, (PastConv, PastUpsample)):
                own.export(stock)
            elif isinstance(own, Snake):
                stock.alpha.copy_(own.alpha)
            elif isinstance(own, nn.Conv1d):
                stock.weight.copy_(own.weight)
                stock.bias.copy_(own.bias)

    @torch.no_grad()
    def recover(self, stock: nn.Module) -> None:
        """Copy the weights of a stock `DacDecoder` that `export` wrote. Raises ValueError for one that looks further
        ahead.
        """
        ours = dict(self.named_modules())
        for name, module in stock.named_modules():
            own = ours.get(name)
            if isinstance(own, (PastConv, PastUpsample)):
                own.recover(module)
            elif isinstance(own, Snake):
                own.alpha.copy_(module.alpha)
            elif isinstance(own, nn.Conv1d):
                own.weight.copy_(module.weight)
                bias_of(own).copy_(module.bias)


def bias_of(conv: nn.Conv1d | nn.ConvTranspose1d) -> Tensor:
    """Return the bias of a convolution of the decoder, ours or the stock one."""
    assert conv.bias is not None  # both are built with one everywhere
    return conv.bias


def _must_be_zero(taps: Tensor) -> None:
    if taps.any():
        raise ValueError("this codec's decoder is not causal: only one that `training.export` wrote can be trained on")
