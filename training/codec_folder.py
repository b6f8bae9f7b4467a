"""Writes the codec as a folder that stock transformers loads: `HiggsAudioV2TokenizerModel` with its config.

It is built from the modules of transformers that load without torchaudio. What the recipe does not train is there all
the same, because the format has it: the HuBERT branch is drawn at random and then silenced where it meets the
quantizer.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.dac.modeling_dac import DacDecoder, DacEncoder
from transformers.models.hubert.modeling_hubert import HubertModel

from codec_stream.codec_config import CodecConfig
from codec_stream.encoder import SemanticEncoder
from codec_stream.rate import SAMPLE_RATE
from codec_stream.stock import dac_config, hubert_config
from codec_stream.weights import load_codec_weights
from training.causal import CausalDecoder
from training.quantizer import Quantizer
from training.speech import HOP

SEMANTIC = 32  # channels of the HuBERT branch, the least that its position convolution takes
ENCODER_HIDDEN = 8
DECODER, ENCODER = "acoustic_decoder.", "acoustic_encoder."


def config_of(fitted: Quantizer, ratios: list[int], hidden: int) -> dict[str, object]:
    books, entries, dims = fitted.books.shape
    bits = (entries - 1).bit_length()
    bandwidth = books * (SAMPLE_RATE // HOP) * bits / 1000
    return {
        "architectures": ["HiggsAudioV2TokenizerModel"],
        "model_type": "higgs_audio_v2_tokenizer",
        "dtype": "float32",
        "sample_rate": SAMPLE_RATE,
        "semantic_sample_rate": 16000,
        "downsample_factor": 320,
        "target_bandwidths": [bandwidth / 8, bandwidth / 4, bandwidth / 2, bandwidth],
        "codebook_size": entries,
        "codebook_dim": dims,
        "kernel_size": 3,
        "unit_kernel_size": 3,
        "strides": [1],
        "channel_ratios": [1],
        "block_dilations": [1],
        "acoustic_model_config": {
            "model_type": "dac",
            "encoder_hidden_size": ENCODER_HIDDEN,
            "downsampling_ratios": ratios,
            "decoder_hidden_size": hidden,
            "upsampling_ratios": ratios,
            "hidden_size": dims,
        },
        "semantic_model_config": {
            "model_type": "hubert",
            "mask_time_prob": 0.0,
            "hidden_size": SEMANTIC,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "intermediate_size": 32,
            "conv_dim": [16] * 7,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
        },
    }


def write(
    folder: Path, fitted: Quantizer, decoder: CausalDecoder, encoder: dict[str, Tensor] | None, ratios: list[int]
) -> None:
    """Write `config.json` and `model.safetensors`. `encoder` holds a trained `DacEncoder`'s weights, if there are
    any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    raw = config_of(fitted, ratios, decoder.conv1.conv.out_channels)
    (folder / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    config = CodecConfig.from_json(folder / "config.json")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        weights = _modules(config, decoder, encoder) | _joints(config) | _quantizers(config, fitted) | _unused(config)
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def read_decoder(folder: Path) -> CausalDecoder:
    """Read the decoder of a codec folder that `write` made, to train it further. Raises ValueError for one that is not
    causal.
    """
    config = CodecConfig.from_json(folder / "config.json")
    stock = stock_decoder(config)
    stock.load_state_dict(_part(folder, DECODER))
    ratios = list(config.upsampling_ratios)
    decoder = CausalDecoder(config.acoustic_hidden_size, config.decoder_hidden_size, ratios)
    decoder.recover(stock)
    return decoder


def read_encoder(folder: Path) -> DacEncoder:
    """Read the acoustic encoder of a codec folder, to train it further."""
    encoder = DacEncoder(dac_config(CodecConfig.from_json(folder / "config.json")))
    encoder.load_state_dict(_part(folder, ENCODER))
    return encoder


def _part(folder: Path, prefix: str) -> dict[str, Tensor]:
    weights = load_codec_weights(folder)
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def stock_decoder(config: CodecConfig) -> DacDecoder:
    """Return transformers' decoder with the changes that the Higgs codec makes to it."""
    decoder = DacDecoder(dac_config(config))
    for module in decoder.modules():
        if isinstance(module, nn.ConvTranspose1d):
            module.output_padding = (module.stride[0] % 2,)
    decoder.register_module("tanh", nn.Identity())
    return decoder


def _modules(config: CodecConfig, decoder: CausalDecoder, encoder: dict[str, Tensor] | None) -> dict[str, Tensor]:
    acoustic_decoder, acoustic_encoder = stock_decoder(config), DacEncoder(dac_config(config))
    decoder.export(acoustic_decoder)
    if encoder is not None:
        acoustic_encoder.load_state_dict(encoder)
    parts = {
        DECODER: acoustic_decoder,
        ENCODER: acoustic_encoder,
        "encoder_semantic.": SemanticEncoder(config),
        "semantic_model.": HubertModel(hubert_config(config)),
    }
    return {prefix + name: tensor for prefix, module in parts.items() for name, tensor in module.state_dict().items()}


def _joints(config: CodecConfig) -> dict[str, Tensor]:
    """Return weights that let the acoustic branch pass through, and nothing of the semantic one."""
    wide, acoustic = config.hidden_size, config.acoustic_hidden_size
    through = torch.zeros(wide, wide)
    through[:acoustic, :acoustic] = torch.eye(acoustic)
    back = torch.zeros(acoustic, wide)
    back[:, :acoustic] = torch.eye(acoustic)
    return {
        "fc.weight": through,
        "fc.bias": torch.zeros(wide),
        "fc1.weight": torch.zeros(config.semantic_hidden_size, wide),
        "fc1.bias": torch.zeros(config.semantic_hidden_size),
        "fc2.weight": back,
        "fc2.bias": torch.zeros(acoustic),
    }


def _quantizers(config: CodecConfig, fitted: Quantizer) -> dict[str, Tensor]:
    dims, wide = config.codebook_dim, config.hidden_size
    spread = torch.zeros(wide, dims)
    spread[:dims] = torch.eye(dims)
    weights: dict[str, Tensor] = {}
    for number, book in enumerate(torch.from_numpy(fitted.books)):
        prefix = f"quantizer.quantizers.{number}."
        weights |= {
            prefix + "codebook.inited": torch.ones(1),
            prefix + "codebook.cluster_size": torch.ones(len(book)),
            prefix + "codebook.embed": book,
            prefix + "codebook.embed_avg": book,
            prefix + "project_in.weight": spread.T,
            prefix + "project_in.bias": torch.zeros(dims),
            prefix + "project_out.weight": spread,
            prefix + "project_out.bias": torch.zeros(wide),
        }
    return weights


def _unused(config: CodecConfig) -> dict[str, Tensor]:
    """Return weights of the branch that gives HuBERT's features back in training. No decoding runs it."""
    width = config.semantic_hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (width, width, config.kernel_size),
        "conv2.weight": (width, width, config.kernel_size),
    }
    for block in range(len(config.strides)):
        prefix = f"conv_blocks.{block}."
        shapes |= {prefix + "conv.weight": (width, width, 3), prefix + "conv.bias": (width,)}
        for unit in range(len(config.block_dilations)):
            shapes[f"{prefix}res_units.{unit}.conv1.weight"] = (width, width, config.unit_kernel_size)
            shapes[f"{prefix}res_units.{unit}.conv2.weight"] = (width, width, 1)
    return {f"decoder_semantic.{name}": torch.zeros(shape) for name, shape in shapes.items()}
