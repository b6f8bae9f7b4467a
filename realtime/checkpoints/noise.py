"""Makes a checkpoint of random weights in the full Higgs Audio V2 format, for tests, benchmarks and first runs.

It speaks noise and says so in its manifest. It has real codebooks (1024 codes), a byte-level tokenizer and our own chat
template.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from codec_stream.synthetic import random_codec

_SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|audio_out_bos|>",
    "<|audio_eos|>",
    "<|AUDIO_OUT|>",
    "<|reserved_special_token_6|>",
    "<|scene_desc_start|>",
    "<|scene_desc_end|>",
]

CHAT_TEMPLATE = """\
{%- macro say(content) -%}
{%- if content is string -%}{{ content | trim }}
{%- else -%}
{%- for part in content -%}
{%- if part['type'] == 'audio' -%}<|audio_out_bos|><|AUDIO_OUT|><|audio_eos|>
{%- else -%}{{ part['text'] | trim }}
{%- endif -%}
{%- if not loop.last -%}{{ '\\n' }}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] != 'scene' -%}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + say(message['content']) -}}
{%- if message['role'] == 'system' and not loop.last and loop.nextitem['role'] == 'scene' -%}
{{- '\\n\\n<|scene_desc_start|>\\n' + say(loop.nextitem['content']) + '\\n<|scene_desc_end|>' -}}
{%- endif -%}
{{- '<|eot_id|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n<|audio_out_bos|>' -}}
{%- endif -%}
"""


@dataclass(frozen=True)
class Size:
    """Holds the dimensions of a random generation model."""

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    intermediate: int = 128
    max_positions: int = 2048


def make_noise_checkpoint(
    folder: Path, size: Size = Size(), *, seed: int = 0, causal_codec: bool = False, released_codec: bool = False
) -> Path:
    """Write a random checkpoint with its codec into `folder`, and return the folder.

    `causal_codec` makes the codec's decoder causal, `released_codec` gives it the released dimensions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    vocabulary = tokenizer.get_vocab()
    ids = {name: vocabulary[name] for name in _SPECIAL}
    config = _config(size, tokenizer.get_vocab_size(), ids)
    save_file(_weights(config, seed), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    random_codec(folder / "codec", small=not released_codec, seed=seed, causal=causal_codec)
    _write(folder, "config.json", config)
    _write(
        folder,
        "generation_config.json",
        {
            "do_sample": True,
            "temperature": 1.0,
            "top_k": 50,
            "top_p": 0.95,
            # without it transformers' generate does not stop at the all-EOS row
            "eos_token_id": config["eos_token_id"],
            "pad_token_id": config["pad_token_id"],
        },
    )
    _write(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot_id|>",
            "pad_token": "<|end_of_text|>",
            "model_max_length": size.max_positions,
        },
    )
    _write(
        folder,
        "processor_config.json",
        {
            "processor_class": "HiggsAudioV2Processor",
            "audio_token": "<|AUDIO_OUT|>",
            "audio_bos_token": "<|audio_out_bos|>",
            "audio_eos_token": "<|audio_eos|>",
            "audio_delay_token": "<|reserved_special_token_6|>",
            "audio_stream_bos_id": config["audio_stream_bos_id"],
            "audio_stream_eos_id": config["audio_stream_eos_id"],
            "audio_tokenizer": {
                "audio_tokenizer_class": "HiggsAudioV2TokenizerModel",
                "audio_tokenizer_name_or_path": "codec",
            },
        },
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    _write(folder, "voiced.json", {"name": "noise", "kind": "noise", "front_end": "none"})  # last: marks it complete
    return folder


def _tokenizer() -> Tokenizer:
    """Make a byte-level tokenizer without merges: every text has a spelling, and control tokens are whole."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(_SPECIAL)
    return tokenizer


def _config(size: Size, vocab_size: int, ids: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["HiggsAudioV2ForConditionalGeneration"],
        "model_type": "higgs_audio_v2",
        "dtype": "float32",
        "vocab_size": vocab_size,
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "head_dim": size.head_dim,
        "max_position_embeddings": size.max_positions,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "high_freq_factor": 0.5,
            "low_freq_factor": 0.125,
            "original_max_position_embeddings": 1024,
        },
        "num_codebooks": 8,
        "codebook_size": 1026,
        "audio_stream_bos_id": 1024,
        "audio_stream_eos_id": 1025,
        "bos_token_id": ids["<|begin_of_text|>"],
        "eos_token_id": ids["<|eot_id|>"],
        "pad_token_id": ids["<|end_of_text|>"],
        "audio_token_id": ids["<|AUDIO_OUT|>"],
        "audio_bos_token_id": ids["<|audio_out_bos|>"],
        "audio_delay_token_id": ids["<|reserved_special_token_6|>"],
    }


def _weights(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    ids = config["num_codebooks"] * config["codebook_size"]

    def matrix(rows: int, columns: int, gain: float = 1.0) -> torch.Tensor:
        return torch.randn(rows, columns, generator=random) * (gain / math.sqrt(columns))

    weights = {
        "model.embed_tokens.weight": torch.randn(config["vocab_size"], hidden, generator=random),
        "model.embed_audio_tokens.embed_audio_tokens.weight": torch.randn(ids, hidden, generator=random) * 0.4,
        "model.norm.weight": torch.ones(hidden),
        "audio_lm_head.weight": matrix(ids, hidden),
    }
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}."
        weights[layer + "self_attn.q_proj.weight"] = matrix(queries, hidden, 2.0)
        weights[layer + "self_attn.k_proj.weight"] = matrix(keys, hidden, 2.0)
        weights[layer + "self_attn.v_proj.weight"] = matrix(keys, hidden)
        weights[layer + "self_attn.o_proj.weight"] = matrix(hidden, queries)
        for kind in ("", "audio_"):
            weights[f"{layer}{kind}input_layernorm.weight"] = torch.ones(hidden)
            weights[f"{layer}{kind}post_attention_layernorm.weight"] = torch.ones(hidden)
            weights[f"{layer}{kind}mlp.gate_proj.weight"] = matrix(inner, hidden)
            weights[f"{layer}{kind}mlp.up_proj.weight"] = matrix(inner, hidden)
            weights[f"{layer}{kind}mlp.down_proj.weight"] = matrix(hidden, inner)
    return weights


def _write(folder: Path, name: str, value: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
