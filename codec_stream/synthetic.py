"""Makes random codec checkpoints in the exact format of transformers, for tests, benchmarks and a first run.

What they decode is noise, at a sane level. Codebooks are residual and coarse first, as in a trained codec: each stage's
entries are smaller than those of the stage before.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.dac.modeling_dac import DacDecoder, DacEncoder, Snake1d
from transformers.models.hubert.modeling_hubert import HubertModel

from codec_stream.codec_config import CodecConfig
from codec_stream.encoder import SemanticEncoder
from codec_stream.stock import dac_config, hubert_config

_RATIOS = [8, 5, 4, 2, 3]
_CODEBOOK_SIZE = 1024
_NUM_QUANTIZERS = 8
_OUTPUT_RMS = 0.1
# Each stage's codebook entries over those of the stage before.
_STAGE_DECAY = 0.7
_RESIDUAL_GAIN = 0.3
_BIAS_STD = 0.02
_CALIBRATION_FRAMES = 25


@dataclass(frozen=True)
class _Sizes:
    encoder_hidden_size: int
    decoder_hidden_size: int
    acoustic_hidden_size: int
    codebook_dim: int
    semantic_blocks: int
    semantic_kernel_size: int
    hubert: dict[str, Any]


_SMALL = _Sizes(
    encoder_hidden_size=4,
    decoder_hidden_size=96,
    acoustic_hidden_size=32,
    codebook_dim=16,
    semantic_blocks=2,
    semantic_kernel_size=3,
    hubert={
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": [16] * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    },
)
# The quantizer and decoder of the released codec. HuBERT's width is part of the quantizer's, the rest is kept small.
_RELEASED_DECODER = _Sizes(
    encoder_hidden_size=4,
    decoder_hidden_size=1024,
    acoustic_hidden_size=256,
    codebook_dim=64,
    semantic_blocks=1,
    semantic_kernel_size=1,
    hubert={
        "hidden_size": 768,
        "num_hidden_layers": 1,
        "num_attention_heads": 12,
        "intermediate_size": 64,
        "conv_dim": [16] * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 16,
    },
)
_RELEASED = _Sizes(
    encoder_hidden_size=64,
    decoder_hidden_size=1024,
    acoustic_hidden_size=256,
    codebook_dim=64,
    semantic_blocks=2,
    semantic_kernel_size=3,
    hubert={"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
)


def random_codec(
    folder: Path, *, small: bool = True, seed: int = 0, causal: bool = False, full_encoder: bool = False
) -> None:
    """Write `config.json` and `model.safetensors` of a random codec into `folder`, which is made when absent.

    The codec has 24 kHz, 960 samples per frame and 8 codebooks of 1024. With `small` it takes under 4 MB. Otherwise
    quantizer and decoder have the released sizes (about 150 MB), and with `full_encoder` the encode side too (about 800
    MB). The same seed gives the same weights. Random codes decode to an RMS of about 0.1 around zero.

    `causal` zeroes the decoder's taps on future input, as training a causal codec would, but for one frame: the first
    convolution keeps its nearest future tap.
    """
    sizes = _SMALL if small else _RELEASED if full_encoder else _RELEASED_DECODER
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config_path = folder / "config.json"
    config_path.write_text(json.dumps(_config(sizes), indent=2) + "\n", encoding="utf-8")
    config = CodecConfig.from_json(config_path)
    # The borrowed networks initialise themselves from the global generator: leave it as it was.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        weights = _random_weights(config, causal)
    tensors = {name: tensor.detach().contiguous() for name, tensor in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _config(sizes: _Sizes) -> dict[str, Any]:
    frame_rate, code_bits = 25, 10
    bandwidth = _NUM_QUANTIZERS * frame_rate * code_bits / 1000
    return {
        "architectures": ["HiggsAudioV2TokenizerModel"],
        "model_type": "higgs_audio_v2_tokenizer",
        "dtype": "float32",
        "sample_rate": 24000,
        "semantic_sample_rate": 16000,
        "downsample_factor": 320,
        "target_bandwidths": [bandwidth / 4, bandwidth / 2, bandwidth],
        "codebook_size": _CODEBOOK_SIZE,
        "codebook_dim": sizes.codebook_dim,
        "kernel_size": sizes.semantic_kernel_size,
        "unit_kernel_size": sizes.semantic_kernel_size,
        "strides": [1] * sizes.semantic_blocks,
        "channel_ratios": [1] * sizes.semantic_blocks,
        "block_dilations": [1] * sizes.semantic_blocks,
        "acoustic_model_config": {
            "model_type": "dac",
            "encoder_hidden_size": sizes.encoder_hidden_size,
            "downsampling_ratios": _RATIOS,
            "decoder_hidden_size": sizes.decoder_hidden_size,
            "upsampling_ratios": _RATIOS,
            "hidden_size": sizes.acoustic_hidden_size,
        },
        "semantic_model_config": {"model_type": "hubert", "mask_time_prob": 0.0, **sizes.hubert},
    }


def _random_weights(config: CodecConfig, causal: bool) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    quantizers = [_random_quantizer(config, stage) for stage in range(config.num_quantizers)]
    for stage, quantizer in enumerate(quantizers):
        weights |= {f"quantizer.quantizers.{stage}.{name}": tensor for name, tensor in quantizer.items()}
    for name, out_channels in (
        ("fc", config.hidden_size),
        ("fc1", config.semantic_hidden_size),
        ("fc2", config.acoustic_hidden_size),
    ):
        weights[f"{name}.weight"] = torch.randn(out_channels, config.hidden_size) / math.sqrt(config.hidden_size)
        weights[f"{name}.bias"] = torch.randn(out_channels) * _BIAS_STD

    dac = dac_config(config)
    decoder = _random_decoder(DacDecoder(dac), causal)
    _scale_output(decoder, quantizers, weights["fc2.weight"], weights["fc2.bias"])
    encoder = DacEncoder(dac)
    _init(encoder)
    noise = torch.randn(1, 1, _CALIBRATION_FRAMES * config.hop_length) * _OUTPUT_RMS
    encoder.conv2.weight /= encoder(noise).std()
    semantic_encoder = SemanticEncoder(config)
    _init(semantic_encoder)
    for prefix, module in (
        ("acoustic_decoder.", decoder),
        ("acoustic_encoder.", encoder),
        ("encoder_semantic.", semantic_encoder),
        ("semantic_model.", HubertModel(hubert_config(config))),
    ):
        weights |= {prefix + name: tensor for name, tensor in module.state_dict().items()}
    return weights | _random_semantic_decoder(config)


def _random_quantizer(config: CodecConfig, stage: int) -> dict[str, Tensor]:
    # Orthonormal columns make project_in the inverse of project_out, so that encoding finds the nearest entry.
    basis = torch.linalg.qr(torch.randn(config.hidden_size, config.codebook_dim)).Q
    embed = torch.randn(config.codebook_size, config.codebook_dim) * _STAGE_DECAY**stage
    return {
        "codebook.inited": torch.ones(1),
        "codebook.cluster_size": torch.ones(config.codebook_size),
        "codebook.embed": embed,
        "codebook.embed_avg": embed.clone(),
        "project_in.weight": basis.T,
        "project_in.bias": torch.randn(config.codebook_dim) * _BIAS_STD,
        "project_out.weight": basis,
        "project_out.bias": torch.randn(config.hidden_size) * _BIAS_STD,
    }


def _random_decoder(decoder: DacDecoder, causal: bool) -> DacDecoder:
    _init(decoder)
    for module in decoder.modules():
        if isinstance(module, nn.ConvTranspose1d):
            # Where the codec's decoder differs from DAC's (`HiggsAudioV2TokenizerModel._adjust_dac_decoder`).
            module.output_padding = (module.stride[0] % 2,)
        if causal and isinstance(module, nn.Conv1d):
            kept_future_taps = 1 if module is decoder.conv1 else 0
            module.weight[..., module.kernel_size[0] // 2 + 1 + kept_future_taps :] = 0
        if causal and isinstance(module, nn.ConvTranspose1d):
            # Input frame i writes to samples i * stride - padding onwards: those before i * stride are its past.
            module.weight[..., : int(module.padding[0])] = 0
    decoder.register_module("tanh", nn.Identity())
    return decoder


def _scale_output(decoder: DacDecoder, quantizers: list[dict[str, Tensor]], weight: Tensor, bias: Tensor) -> None:
    """Set the last convolution so that random codes decode to zero mean and `_OUTPUT_RMS`."""
    latent = torch.zeros(_CALIBRATION_FRAMES, weight.shape[1])
    for quantizer in quantizers:
        codes = torch.randint(_CODEBOOK_SIZE, (_CALIBRATION_FRAMES,))
        entries = quantizer["codebook.embed"][codes]
        latent += nn.functional.linear(entries, quantizer["project_out.weight"], quantizer["project_out.bias"])
    audio = decoder(nn.functional.linear(latent, weight, bias).T[None])
    scale = _OUTPUT_RMS / audio.std()
    decoder.conv2.weight *= scale
    bias_of_output = decoder.state_dict()["conv2.bias"]
    bias_of_output.copy_((bias_of_output - audio.mean()) * scale)


def _random_semantic_decoder(config: CodecConfig) -> dict[str, Tensor]:
    """Make the branch that was trained to give HuBERT's features back. Nothing here runs it, but the format has it."""
    width = config.semantic_hidden_size
    shapes = {"conv1.weight": (width, width, config.kernel_size), "conv2.weight": (width, width, config.kernel_size)}
    for block in range(len(config.strides)):
        shapes[f"conv_blocks.{block}.conv.weight"] = (width, width, 3)
        for unit in range(len(config.block_dilations)):
            prefix = f"conv_blocks.{block}.res_units.{unit}."
            shapes[prefix + "conv1.weight"] = (width, width, config.unit_kernel_size)
            shapes[prefix + "conv2.weight"] = (width, width, 1)
    weights = {name: torch.randn(shape) / math.sqrt(shape[1] * shape[2]) for name, shape in shapes.items()}
    for block in range(len(config.strides)):
        weights[f"conv_blocks.{block}.conv.bias"] = torch.randn(width) * _BIAS_STD
    return {f"decoder_semantic.{name}": tensor for name, tensor in weights.items()}


def _init(module: nn.Module) -> None:
    """Set weights that keep a signal's variance. The second convolution of a residual unit gets less, as units add
    up.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv1d):
            gain = _RESIDUAL_GAIN if "res_unit" in name and name.endswith("conv2") else 1.0
            fan_in = layer.in_channels * layer.kernel_size[0]
            layer.weight.normal_(std=gain / math.sqrt(fan_in))
        elif isinstance(layer, nn.ConvTranspose1d):
            taps_per_sample = layer.kernel_size[0] // layer.stride[0]
            layer.weight.normal_(std=1 / math.sqrt(layer.in_channels * taps_per_sample))
        elif isinstance(layer, Snake1d):
            layer.alpha.uniform_(0.5, 1.5)
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d) and layer.bias is not None:
            layer.bias.normal_(std=_BIAS_STD)
