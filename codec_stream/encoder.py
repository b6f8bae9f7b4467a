"""Encodes reference audio into codes, equal to `HiggsAudioV2TokenizerModel.encode` of transformers 5.23.

Two branches meet in the quantizer: the DAC encoder hears the audio at the codec's rate, HuBERT and a few convolutions
hear it at 16 kHz.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from codec_stream.acoustic_encoder import AcousticEncoder
from codec_stream.codec_config import CodecConfig
from codec_stream.errors import AudioError, CheckpointError
from codec_stream.hubert import Hubert
from codec_stream.resample import resample

# Zeros on both sides of HuBERT's input (`HiggsAudioV2TokenizerModel._extract_semantic_features`): with them, whole
# frames of audio give a whole number of features.
_SEMANTIC_PADDING_SAMPLES = 160

_Module = TypeVar("_Module", bound=nn.Module)


class Encoder:
    """Encodes audio with one codec checkpoint; stateless between calls and deterministic."""

    def __init__(self, config: CodecConfig, weights: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Take the weights as `load_codec_weights` returns them. Raises CheckpointError when one is missing or
        misshapen.
        """
        self.config = config
        self.device = torch.device(device)
        # The meta device makes no random values, which would cost time and memory and be replaced by the checkpoint's.
        with torch.device("meta"):
            acoustic = AcousticEncoder(config)
            semantic = Hubert(config.semantic)
            semantic_head = SemanticEncoder(config)
            fc = nn.Linear(config.hidden_size, config.hidden_size)
        self._acoustic = _load(acoustic, weights, "acoustic_encoder.", self.device)
        self._semantic = _load(semantic, weights, "semantic_model.", self.device)
        self._semantic_head = _load(semantic_head, weights, "encoder_semantic.", self.device)
        self._fc = _load(fc, weights, "fc.", self.device)
        self._quantizers = [_Quantizer(config, weights, index, self.device) for index in range(config.num_quantizers)]

    @torch.inference_mode()
    def encode(self, pcm: NDArray[np.float32]) -> NDArray[np.int16]:
        """Encode pcm [samples], mono at config.sample_rate, full scale 1 -> codes [frames, num_quantizers].

        A last piece of a frame is encoded or left out exactly as the reference does: left out when it is shorter than
        about an eighth of a frame. Raises AudioError when there is less than one frame of audio.
        """
        config = self.config
        if pcm.ndim != 1 or pcm.dtype != np.float32:
            raise AudioError(f"expected mono float32 audio [samples], got {pcm.dtype} with shape {pcm.shape}")
        if len(pcm) < config.hop_length:
            raise AudioError(
                f"the audio has {len(pcm)} samples, less than one codec frame of {config.hop_length}; use a longer clip"
            )
        semantic = self._semantic_features(pcm)  # [1, semantic_hidden_size, frames]
        # A copy: torch does not take read-only or reversed arrays.
        audio = torch.from_numpy(pcm.copy()).to(self.device)[None, None]
        if _acoustic_frames(len(pcm), config.downsampling_ratios) != semantic.shape[2]:
            audio = F.pad(audio, (config.hop_length // 2, config.hop_length // 2))
        acoustic = self._acoustic(audio)  # [1, acoustic_hidden_size, frames]
        if acoustic.shape[2] != semantic.shape[2]:
            raise CheckpointError(
                f"the codec's branches give {acoustic.shape[2]} and {semantic.shape[2]} frames for {len(pcm)} samples; "
                "its downsampling_ratios, downsample_factor and sample rates do not fit together"
            )
        residual = self._fc(torch.cat([acoustic, semantic], dim=1)[0].T)  # [frames, hidden_size]
        codes = []
        for quantizer in self._quantizers:
            nearest = quantizer.nearest(residual)
            residual = residual - quantizer.reconstruct(nearest)
            codes.append(nearest)
        return torch.stack(codes, dim=1).to("cpu", torch.int16).numpy()

    def _semantic_features(self, pcm: NDArray[np.float32]) -> Tensor:
        speech = resample(pcm, self.config.sample_rate, self.config.semantic_sample_rate)
        padded = F.pad(torch.from_numpy(speech).to(self.device), (_SEMANTIC_PADDING_SAMPLES, _SEMANTIC_PADDING_SAMPLES))
        features = torch.stack(self._semantic(padded[None]), dim=1).mean(dim=1)  # [1, features, semantic_hidden_size]
        if self.config.semantic_downsample_factor > 1:
            features = features[:, :: self.config.semantic_downsample_factor]
        head: Tensor = self._semantic_head(features.transpose(1, 2))
        return head


class SemanticEncoder(nn.Module):
    """Runs the convolutions between HuBERT's features and the quantizer, named as in the checkpoint
    (`encoder_semantic`).
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        channels = config.semantic_hidden_size
        self.conv = nn.Conv1d(channels, channels, config.kernel_size, padding=config.kernel_size // 2, bias=False)
        blocks = []
        for stride, ratio in zip(config.strides, config.channel_ratios, strict=True):
            out_channels = int(config.semantic_hidden_size * ratio)
            blocks.append(_SemanticBlock(config, channels, out_channels, stride))
            channels = out_channels
        self.conv_blocks = nn.ModuleList(blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve features [B, semantic_hidden_size, T] -> [B, channels, T / product of the strides]."""
        hidden: Tensor = self.conv(features)
        for block in self.conv_blocks:
            hidden = block(hidden)
        return hidden


class _SemanticBlock(nn.Module):
    def __init__(self, config: CodecConfig, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        units = [_SemanticUnit(config, in_channels, dilation) for dilation in config.block_dilations]
        self.res_units = nn.ModuleList(units)
        kernel = 3 if stride == 1 else 2 * stride
        self.conv = nn.Conv1d(in_channels, out_channels, kernel, stride=stride, padding=(kernel - 1) // 2)

    def forward(self, hidden: Tensor) -> Tensor:
        for unit in self.res_units:
            hidden = unit(hidden)
        strided: Tensor = self.conv(hidden)
        return strided


class _SemanticUnit(nn.Module):
    def __init__(self, config: CodecConfig, channels: int, dilation: int) -> None:
        super().__init__()
        kernel = config.unit_kernel_size
        padding = ((kernel - 1) // 2) * dilation
        self.conv1 = nn.Conv1d(channels, channels, kernel, padding=padding, dilation=dilation, bias=False)
        self.conv2 = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        change: Tensor = self.conv2(F.elu(self.conv1(F.elu(hidden))))
        return hidden + change


class _Codebook(nn.Module):
    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.embed = nn.Buffer(torch.empty(config.codebook_size, config.codebook_dim))


class _Quantizer:
    """Runs one stage of the residual quantizer: nearest codebook entry in a projected space, and the way back."""

    def __init__(self, config: CodecConfig, weights: Mapping[str, Tensor], index: int, device: torch.device) -> None:
        prefix = f"quantizer.quantizers.{index}."
        with torch.device("meta"):
            project_in = nn.Linear(config.hidden_size, config.codebook_dim)
            project_out = nn.Linear(config.codebook_dim, config.hidden_size)
            codebook = _Codebook(config)
        self._project_in = _load(project_in, weights, prefix + "project_in.", device)
        self._project_out = _load(project_out, weights, prefix + "project_out.", device)
        self._codebook = _load(codebook, weights, prefix + "codebook.", device)

    def nearest(self, residual: Tensor) -> Tensor:
        """Return the index [frames] of the entry nearest to each residual [frames, hidden_size]."""
        point = self._project_in(residual)
        embed = self._codebook.embed.T
        # Expanded |x - e|^2, term by term as the reference computes it: ties and near-ties must fall the same way.
        distance = point.pow(2).sum(1, keepdim=True) - 2 * point @ embed + embed.pow(2).sum(0, keepdim=True)
        nearest: Tensor = (-distance).max(dim=-1).indices
        return nearest

    def reconstruct(self, nearest: Tensor) -> Tensor:
        """Return the part of the latent [frames, hidden_size] that an index [frames] stands for."""
        reconstructed: Tensor = self._project_out(F.embedding(nearest, self._codebook.embed))
        return reconstructed


def _acoustic_frames(samples: int, ratios: tuple[int, ...]) -> int:
    """Return how many frames the DAC encoder gives for `samples`; only its strided convolutions change the length."""
    for stride in ratios:
        samples = (samples + 2 * -(-stride // 2) - 2 * stride) // stride + 1
    return samples


def _load(module: _Module, weights: Mapping[str, Tensor], prefix: str, device: torch.device) -> _Module:
    own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    for name, expected in module.state_dict().items():
        if name not in own:
            raise CheckpointError(f"the codec weights lack {prefix}{name}, which config.json calls for")
        if own[name].shape != expected.shape:
            raise CheckpointError(
                f"the codec weight {prefix}{name} has shape {tuple(own[name].shape)}, "
                f"config.json calls for {tuple(expected.shape)}"
            )
    wanted = {name: own[name].to(device) for name in module.state_dict()}
    module.load_state_dict(wanted, assign=True)
    return module.eval()
