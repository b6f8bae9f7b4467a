"""Finds and reads a Higgs Audio V2 checkpoint: config, weights, tokenizer, chat template, generation config.

Every id and size comes from the checkpoint's own files. Weights are safetensors; no code of a checkpoint is ever run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from codec_stream.errors import CheckpointError
from codec_stream.tensors import read_tensors
from realtime.engine.errors import one_line
from realtime.engine.models.checkpoint import (
    MODEL_FILES,
    Manifest,
    SamplingDefaults,
    locate,
    read_json,
    read_manifest,
)
from realtime.engine.models.higgs_v2 import foreign

_CODEC_FILES = ["*.json", "*.safetensors"]
_SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "head_dim", "max_position_embeddings", "num_codebooks", "codebook_size"),
)


@dataclass(frozen=True)
class Rope:
    """Holds what the rotary table is computed from: inverse frequencies [D/2] and the scale of cos and sin."""

    inverse_frequencies: Tensor
    scale: float


@dataclass(frozen=True)
class ModelConfig:
    """Holds the sizes and ids of the generation model, from `config.json`."""

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


@dataclass(frozen=True)
class Checkpoint:
    """Holds a checkpoint that was found: its folders on disk, and everything but the weights."""

    folder: Path
    codec_folder: Path
    config: ModelConfig
    sampling: SamplingDefaults
    manifest: Manifest
    tokenizer: Tokenizer
    chat_template: str
    bos_token: str

    def weights(self) -> dict[str, Tensor]:
        """Read all tensors of the generation model, by transformers' names. Raises CheckpointError."""
        tensors = read_tensors(self.folder)
        foreign.check_names(tensors, self.folder)
        return tensors


def open_checkpoint(model: str, codec: str | None = None) -> Checkpoint:
    """Find and read a checkpoint, given as a folder or a hub id; `codec` overrides where its codec is.

    Raises CheckpointError naming the file and the fix.
    """
    return read_checkpoint(locate(model, MODEL_FILES, "--model"), codec)


def read_checkpoint(folder: Path, codec: str | None = None) -> Checkpoint:
    """Read the checkpoint in a folder; `codec` overrides where its codec is. Raises CheckpointError."""
    foreign.check_folder(folder)
    raw = read_json(folder / "config.json")
    foreign.check_config(raw, folder / "config.json")
    return Checkpoint(
        folder=folder,
        codec_folder=_codec_folder(folder, codec),
        config=_model_config(raw, folder / "config.json"),
        sampling=_sampling_defaults(folder / "generation_config.json"),
        manifest=read_manifest(folder),
        tokenizer=_tokenizer(folder / "tokenizer.json"),
        chat_template=_chat_template(folder),
        bos_token=_bos_token(folder),
    )


def _codec_folder(folder: Path, codec: str | None) -> Path:
    said_by = "--codec"
    if codec is None:
        file = folder / "processor_config.json"
        entry = read_json(file, required=False).get("audio_tokenizer") or {}
        codec = entry.get("audio_tokenizer_name_or_path") if isinstance(entry, dict) else None
        said_by = f"{file} says that the codec is at"
        if not isinstance(codec, str):
            raise CheckpointError(
                f"{file} names no audio tokenizer; say where the codec is with --codec (--codec "
                f"{foreign.RELEASED_CODEC} for the released one)."
            )
    found = folder / codec if (folder / codec / "config.json").is_file() else locate(codec, _CODEC_FILES, said_by)
    foreign.check_codec_folder(found)
    return found


def _model_config(raw: dict[str, Any], file: Path) -> ModelConfig:
    from transformers import HiggsAudioV2Config

    for key in ("attention_bias", "mlp_bias"):
        if raw.get(key):
            raise CheckpointError(f"{file}: {key} is set; checkpoints with biases are not supported.")
    if raw.get("hidden_act", "silu") != "silu":
        raise CheckpointError(f"{file}: hidden_act is {raw['hidden_act']!r}; only 'silu' is supported.")
    for key in _SIZES:
        if isinstance(raw.get(key), int) and raw[key] < 1:
            raise CheckpointError(f"{file}: {key} is {raw[key]}; expected a positive integer.")
    told = {key: value for key, value in raw.items() if key not in ("model_type", "auto_map")}
    try:
        config = HiggsAudioV2Config(**told)
        head_dim = config.head_dim or config.hidden_size // config.num_attention_heads
        rope = _rope(config, head_dim, file)
    except CheckpointError:
        raise
    except Exception as error:  # transformers checks here and there, and raises whatever it meets
        raise CheckpointError(
            f"{file} is not the config of a {foreign.MODEL_TYPE!r} model: {one_line(error)}"
        ) from error
    _check_consistent(config, file)
    return ModelConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=head_dim,
        max_positions=config.max_position_embeddings,
        norm_eps=config.rms_norm_eps,
        num_codebooks=config.num_codebooks,
        codebook_size=config.codebook_size,
        audio_token_id=config.audio_token_id,
        audio_bos_token_id=config.audio_bos_token_id,
        audio_delay_token_id=config.audio_delay_token_id,
        stream_bos=config.audio_stream_bos_id,
        stream_eos=config.audio_stream_eos_id,
        rope=rope,
    )


def _check_consistent(config: Any, file: Path) -> None:
    """Check what transformers leaves unchecked. Raises CheckpointError."""
    if config.num_attention_heads % config.num_key_value_heads:
        raise CheckpointError(
            f"{file}: num_attention_heads is {config.num_attention_heads}, no multiple of num_key_value_heads "
            f"({config.num_key_value_heads})."
        )
    markers = {"audio_stream_bos_id": config.audio_stream_bos_id, "audio_stream_eos_id": config.audio_stream_eos_id}
    for key, marker in markers.items():
        if not 0 <= marker < config.codebook_size:
            raise CheckpointError(
                f"{file}: {key} is {marker}; expected one of the {config.codebook_size} ids of a codebook."
            )


def _rope(config: Any, head_dim: int, file: Path) -> Rope:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        exponent = torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim
        return Rope(1.0 / (config.rope_parameters["rope_theta"] ** exponent), 1.0)
    if kind not in ("linear", "llama3", "yarn"):
        raise CheckpointError(f"{file}: rope_type {kind!r} is not supported (default, linear, llama3 and yarn are).")
    frequencies, scale = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    return Rope(frequencies, float(scale))


def _sampling_defaults(file: Path) -> SamplingDefaults:
    """transformers' defaults where the file is silent: greedy, temperature 1, top-k 50 (when sampling), top-p 1."""
    raw = read_json(file, required=False)
    try:
        return SamplingDefaults(
            greedy=not raw.get("do_sample", False),
            temperature=float(raw.get("temperature") or 1.0),
            top_k=int(raw["top_k"] or 0) if "top_k" in raw else 50,
            top_p=float(raw.get("top_p") or 1.0),
            ras_window=int(raw.get("ras_win_len") or 0),
            ras_max_repeats=int(raw.get("ras_win_max_num_repeat") or 0),
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file} has a setting that is no number: {one_line(error)}") from error


def _tokenizer(file: Path) -> Tokenizer:
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; save the checkpoint's fast tokenizer there.")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"{file} is not a tokenizer that can be read: {one_line(error)}") from error


def _chat_template(folder: Path) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    for name in ("processor_config.json", "chat_template.json", "tokenizer_config.json"):
        template = read_json(folder / name, required=False).get("chat_template")
        if isinstance(template, str):
            return template
    raise CheckpointError(f"{folder} holds no chat template (chat_template.jinja).")


def _bos_token(folder: Path) -> str:
    token = read_json(folder / "tokenizer_config.json", required=False).get("bos_token") or ""
    return token["content"] if isinstance(token, dict) else token
