"""Recognises checkpoints that people have and voiced does not run, and says in one sentence what each is and what to
use instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from codec_stream.errors import CheckpointError

MODEL_TYPE = "higgs_audio_v2"
RELEASED = "bosonai/higgs-audio-v2-generation-3B-base"
RELEASED_CODEC = "bosonai/higgs-audio-v2-tokenizer"

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_QUANTISED = {"gptq": "GPTQ", "awq": "AWQ", "fbgemm_fp8": "fp8"}
"""What people call transformers' quantisation methods whose own names differ from that."""


def check_folder(folder: Path) -> None:
    """Raise CheckpointError for a folder that holds no whole checkpoint: a LoRA adapter, GGUF files."""
    if any((folder / name).is_file() for name in _WEIGHTS):
        return
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{folder} is a LoRA adapter (adapter_config.json), not a checkpoint: merge it into the checkpoint it was "
            "trained on (merge_and_unload of peft), save that, and give --model its folder."
        )
    if any(folder.glob("*.gguf")):
        raise CheckpointError(
            f"{folder} holds GGUF weights, and voiced reads safetensors: give --model the checkpoint they were made "
            f"from, such as {RELEASED}."
        )


def check_config(raw: dict[str, Any], file: Path) -> None:
    """Raise CheckpointError for the `config.json` of a quantised checkpoint, or of a model that is none of ours."""
    found = _quantised(raw)
    if found is not None:
        raise CheckpointError(
            f"{file} says that the weights are quantised ({found}), and voiced runs float32, bfloat16 and float16 "
            f"ones: give --model the checkpoint they were made from, such as {RELEASED}."
        )
    match raw.get("model_type"):
        case "higgs_audio_v2":
            return
        case "higgs_audio":
            raise CheckpointError(
                f"{file.parent} has the original layout of Higgs Audio V2 (model_type 'higgs_audio'), and voiced reads "
                f"that of transformers: use {RELEASED}, or convert yours with convert_higgs_audio_v2_to_hf.py of "
                "transformers' repository."
            )
        case "higgs_multimodal_qwen3":
            raise CheckpointError(
                f"{file.parent} is a Higgs Audio V3 checkpoint (model_type 'higgs_multimodal_qwen3'), and voiced runs "
                f"V2 ones: use {RELEASED}."
            )
        case "higgs_audio_v2_tokenizer":
            raise CheckpointError(
                f"{file.parent} is a codec (model_type 'higgs_audio_v2_tokenizer'): give it with --codec, and the "
                f"language model, such as {RELEASED}, with --model."
            )
        case other:
            raise CheckpointError(
                f"{file} has model_type {other!r}, and voiced runs {MODEL_TYPE!r} checkpoints, such as {RELEASED}."
            )


def check_names(names: Iterable[str], folder: Path) -> None:
    """Raise CheckpointError where adapter weights lie beside those they were trained on."""
    if any(".lora_A." in name or ".base_layer." in name for name in names):
        raise CheckpointError(
            f"{folder} holds a LoRA adapter that is not merged into its weights: merge it (merge_and_unload of peft), "
            "save that, and give --model its folder."
        )


def check_codec_folder(folder: Path) -> None:
    """Raise CheckpointError for a codec in its original layout."""
    if (folder / "model.pth").is_file() and not any((folder / name).is_file() for name in _WEIGHTS):
        raise CheckpointError(
            f"{folder} has the original layout of the codec (model.pth), and voiced reads that of transformers: use "
            f"--codec {RELEASED_CODEC}, which holds the same weights."
        )


def _quantised(raw: dict[str, Any]) -> str | None:
    told, mlx = raw.get("quantization_config"), raw.get("quantization")
    if isinstance(told, dict) and (method := told.get("quant_method")):
        if method == "bitsandbytes":
            return f"bitsandbytes {told.get('bnb_4bit_quant_type', 'fp4') if told.get('load_in_4bit') else 'int8'}"
        return _QUANTISED.get(str(method), str(method))
    for written in (mlx, told):
        if isinstance(written, dict) and "bits" in written:
            return f"MLX, {written['bits']} bits"
    return "of a kind it does not name" if told or mlx else None
