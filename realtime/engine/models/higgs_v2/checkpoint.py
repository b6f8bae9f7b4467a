"""Finds and reads a Higgs Audio V2 checkpoint: config, weights, tokenizer, chat template, generation config.

Every id and size comes from the checkpoint's own files. Weights are safetensors; no code of a checkpoint is ever run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
from realtime.engine.models.higgs_v2.model_config import ModelConfig, model_config

_CODEC_FILES = ["*.json", "*.safetensors"]


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
        config=model_config(raw, folder / "config.json"),
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
