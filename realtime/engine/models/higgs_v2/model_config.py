"""Reads a Higgs Audio V2 model's sizes and ids from its `config.json`. Keys that are not there mean what they mean to
transformers, whose config class would cost an engine seconds of its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec_stream.errors import CheckpointError
from realtime.engine.models.higgs_v2.rope import Rope, rope_of

_DEFAULTS = {
    "vocab_size": 128256,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "max_position_embeddings": 2048,
    "num_codebooks": 8,
    "codebook_size": 1024,
}
_IDS = {
    "audio_token_id": 128016,
    "audio_bos_token_id": 128013,
    "audio_delay_token_id": 128014,
    "audio_stream_bos_id": 1024,
    "audio_stream_eos_id": 1025,
}


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and ids of the generation model, from `config.json`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    max_positions: int
    norm_eps: float
    num_codebooks: int
    codebook_size: int
    audio_token_id: int
    audio_bos_token_id: int
    audio_delay_token_id: int
    stream_bos: int
    stream_eos: int
    rope: Rope


def model_config(raw: Mapping[str, Any], file: Path) -> ModelConfig:
    """Read the config. Raises CheckpointError that names the key."""
    for key in ("attention_bias", "mlp_bias"):
        if raw.get(key):
            raise CheckpointError(f"{file}: {key} is set; checkpoints with biases are not supported.")
    if raw.get("hidden_act", "silu") != "silu":
        raise CheckpointError(f"{file}: hidden_act is {raw['hidden_act']!r}; only 'silu' is supported.")
    sizes = {key: _whole(raw, key, default, file, least=1) for key, default in _DEFAULTS.items()}
    ids = {key: _whole(raw, key, default, file, least=0) for key, default in _IDS.items()}
    heads = sizes["num_attention_heads"]
    head_dim = (
        _whole(raw, "head_dim", 128, file, least=1) if raw.get("head_dim", 128) else sizes["hidden_size"] // heads
    )
    _check_consistent(sizes, ids, file)
    return ModelConfig(
        vocab_size=sizes["vocab_size"],
        hidden_size=sizes["hidden_size"],
        intermediate_size=sizes["intermediate_size"],
        layers=sizes["num_hidden_layers"],
        heads=heads,
        kv_heads=sizes["num_key_value_heads"],
        head_dim=head_dim,
        max_positions=sizes["max_position_embeddings"],
        norm_eps=_epsilon(raw, file),
        num_codebooks=sizes["num_codebooks"],
        codebook_size=sizes["codebook_size"],
        audio_token_id=ids["audio_token_id"],
        audio_bos_token_id=ids["audio_bos_token_id"],
        audio_delay_token_id=ids["audio_delay_token_id"],
        stream_bos=ids["audio_stream_bos_id"],
        stream_eos=ids["audio_stream_eos_id"],
        rope=rope_of(raw, head_dim, file),
    )


def _whole(raw: Mapping[str, Any], key: str, default: int, file: Path, *, least: int) -> int:
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        expected = "a positive integer" if least else "a token id"
        raise CheckpointError(f"{file}: {key} is {value!r}; expected {expected}.")
    return value


def _epsilon(raw: Mapping[str, Any], file: Path) -> float:
    value = raw.get("rms_norm_eps", 1e-5)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise CheckpointError(f"{file}: rms_norm_eps is {value!r}; expected a number of at least 0.")
    return float(value)


def _check_consistent(sizes: Mapping[str, int], ids: Mapping[str, int], file: Path) -> None:
    """Raise CheckpointError for sizes that do not fit together."""
    for whole, part in (("hidden_size", "num_attention_heads"), ("num_attention_heads", "num_key_value_heads")):
        if sizes[whole] % sizes[part]:
            raise CheckpointError(f"{file}: {whole} is {sizes[whole]}, no multiple of {part} ({sizes[part]}).")
    for key in ("audio_stream_bos_id", "audio_stream_eos_id"):
        if ids[key] >= sizes["codebook_size"]:
            raise CheckpointError(
                f"{file}: {key} is {ids[key]}; expected one of the {sizes['codebook_size']} ids of a codebook."
            )
