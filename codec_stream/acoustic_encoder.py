"""The acoustic half of the codec's encoder: DAC's, named as in the checkpoint (`acoustic_encoder`).

Descript's encoder (Kumar et al., "High-Fidelity Audio Compression with Improved RVQGAN", NeurIPS 2023), equal to
transformers' `DacEncoder`. It is written out here because importing that one costs an engine seconds of its start.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codec_stream.codec_config import CodecConfig

_DILATIONS = (1, 3, 9)


class AcousticEncoder(nn.Module):
    """Encodes audio [B, 1, samples] -> latents [B, acoustic_hidden_size, frames]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        channels = config.encoder_hidden_size
        self.conv1 = nn.Conv1d(1, channels, 7, padding=3)
        self.block = nn.ModuleList(
            _Block(channels << index, stride) for index, stride in enumerate(config.downsampling_ratios)
        )
        channels <<= len(config.downsampling_ratios)
        self.snake1 = _Snake(channels)
        self.conv2 = nn.Conv1d(channels, config.acoustic_hidden_size, 3, padding=1)

    def forward(self, audio: Tensor) -> Tensor:
        """Encode audio [B, 1, samples] -> [B, acoustic_hidden_size, frames]."""
        hidden = self.conv1(audio)
        for block in self.block:
            hidden = block(hidden)
        latent: Tensor = self.conv2(self.snake1(hidden))
        return latent


class _Block(nn.Module):
    """Three residual units, and a convolution that doubles the channels and divides the rate by `stride`."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.res_unit1, self.res_unit2, self.res_unit3 = (_Unit(channels, dilation) for dilation in _DILATIONS)
        self.snake1 = _Snake(channels)
        self.conv1 = nn.Conv1d(channels, 2 * channels, 2 * stride, stride=stride, padding=math.ceil(stride / 2))

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = self.res_unit3(self.res_unit2(self.res_unit1(hidden)))
        strided: Tensor = self.conv1(self.snake1(hidden))
        return strided


class _Unit(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.snake1 = _Snake(channels)
        self.conv1 = nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation)
        self.snake2 = _Snake(channels)
        self.conv2 = nn.Conv1d(channels, channels, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        change: Tensor = self.conv2(self.snake2(self.conv1(self.snake1(hidden))))
        return hidden + change


class _Snake(nn.Module):
    """x + sin²(αx)/α, with an α of each channel (Ziyin et al., NeurIPS 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        bent: Tensor = hidden + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * hidden).pow(2)
        return bent
