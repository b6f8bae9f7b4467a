"""Rotary frequencies from a checkpoint's `rope_parameters`, as transformers makes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codec_stream.errors import CheckpointError
from realtime.engine.errors import one_line

_DEFAULT = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "high_freq_factor": 0.5,
    "low_freq_factor": 0.125,
    "original_max_position_embeddings": 1024,
}
"""What transformers takes where a config says nothing."""


@dataclass(frozen=True)
class Rope:
    """Rotary frequencies as a table source: inverse frequencies [D/2] and the scale of cos and sin."""

    inverse_frequencies: Tensor
    scale: float


def rope_of(raw: Mapping[str, Any], head_dim: int, file: Path) -> Rope:
    """Make the frequencies that a `config.json` asks for. Raises CheckpointError that names the key."""
    if head_dim % 2:
        raise CheckpointError(f"{file}: head_dim is {head_dim}; rotary positions need an even one.")
    told = _told(raw)
    kind = told.get("rope_type", "default")
    if kind not in ("default", "linear", "llama3", "yarn"):
        raise CheckpointError(f"{file}: rope_type {kind!r} is not supported (default, linear, llama3 and yarn are).")
    if kind == "yarn":
        return _yarn(raw, file)
    frequencies = 1.0 / _number(told, "rope_theta", file) ** (torch.arange(0, head_dim, 2).float() / head_dim)
    if kind == "linear":
        frequencies = frequencies / _number(told, "factor", file)
    elif kind == "llama3":
        frequencies = _llama3(frequencies, told, file)
    return Rope(frequencies, 1.0)


def _told(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, also where they stand as older releases wrote them: `rope_theta` beside `rope_scaling`."""
    given = raw.get("rope_parameters")
    if isinstance(given, dict):
        return given
    scaling = raw.get("rope_scaling")
    if isinstance(scaling, dict) or "rope_theta" in raw:
        told = {"rope_theta": raw.get("rope_theta", 10000.0), **(scaling or {})}
        return {"rope_type": told.pop("type", "default"), **told}
    return _DEFAULT


def _llama3(frequencies: Tensor, told: Mapping[str, Any], file: Path) -> Tensor:
    """Llama 3.1's: long waves are stretched, short ones stay, those between are blended."""
    factor, low, high, before = (
        _number(told, key, file)
        for key in ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    )
    if high <= low:
        raise CheckpointError(f"{file}: rope_parameters.high_freq_factor has to be above low_freq_factor.")
    wave = 2 * math.pi / frequencies
    long, short = wave > before / low, wave < before / high
    stretched = torch.where(long, frequencies / factor, frequencies)
    share = (before / wave - low) / (high - low)
    blended = (1 - share) * stretched / factor + share * stretched
    return torch.where(~long & ~short, blended, stretched)


def _yarn(raw: Mapping[str, Any], file: Path) -> Rope:
    """YaRN's, which no released checkpoint uses: left to transformers, whose import takes seconds."""
    from transformers import HiggsAudioV2Config
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    told = {key: value for key, value in raw.items() if key not in ("model_type", "auto_map")}
    try:
        frequencies, scale = ROPE_INIT_FUNCTIONS["yarn"](HiggsAudioV2Config(**told), torch.device("cpu"))
    except Exception as error:  # transformers checks here and there, and raises whatever it meets
        raise CheckpointError(f"{file}: rope_parameters cannot be used: {one_line(error)}") from error
    return Rope(frequencies, float(scale))


def _number(told: Mapping[str, Any], key: str, file: Path) -> float:
    value = told.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise CheckpointError(f"{file}: rope_parameters.{key} is {value!r}; expected a positive number.")
    return float(value)
