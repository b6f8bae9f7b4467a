"""Reads the tensors of a checkpoint folder by name, from safetensors files only, whichever network they belong to.

Weights that are not floating point numbers of 16 bits or more are refused by the name of their format: read as numbers
they would be nonsense, and nothing would say so.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from codec_stream.errors import CheckpointError

_SINGLE_FILE = "model.safetensors"
_INDEX_FILE = "model.safetensors.index.json"
_FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_FLOATS_8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
_BITSANDBYTES_4 = ".quant_state.bitsandbytes__"


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of the checkpoint in `folder`, on the CPU, as they are stored.

    Reads `model.safetensors`, or the shards that `model.safetensors.index.json` names. Where both are there the single
    file counts, as in transformers. Raises CheckpointError when there is neither, when the index names anything but
    files beside it, when a file is missing or damaged, and when the weights are quantised.
    """
    tensors: dict[str, Tensor] = {}
    for path in _files(folder):
        try:
            tensors.update(load_file(path))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: is not a readable safetensors file ({error})") from error
    found = quantised_format(tensors)
    if found is not None:
        raise CheckpointError(
            f"{folder}: holds {found} weights; use the checkpoint they were made from, in float32, bfloat16 or float16"
        )
    return tensors


def quantised_format(tensors: dict[str, Tensor]) -> str | None:
    """Name the format that the weights are quantised in, told by names and types; None where they are not quantised."""

    def stored(suffix: str) -> bool:
        return any(name.endswith(suffix) for name in tensors)

    for name in tensors:
        if _BITSANDBYTES_4 in name:
            return f"bitsandbytes {name.rpartition('__')[2]}"
    if stored(".SCB"):
        return "bitsandbytes int8"
    if stored(".qweight"):
        return "GPTQ" if stored(".g_idx") else "AWQ"
    if stored(".weight_packed"):
        return "compressed-tensors"
    types = {tensor.dtype for name, tensor in tensors.items() if name.endswith("weight")}.difference(_FLOATS)
    if torch.uint32 in types and stored(".scales"):
        return "MLX"
    if types.intersection(_FLOATS_8):
        return "fp8"
    return " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in types)) or None


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: is not a folder; expected a checkpoint with {_SINGLE_FILE}")
    if (folder / _SINGLE_FILE).is_file():
        return [folder / _SINGLE_FILE]
    if (folder / _INDEX_FILE).is_file():
        return _shards(folder / _INDEX_FILE)
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    if pickles:
        raise CheckpointError(
            f"{folder}: holds pickled weights ({pickles[0]}), which can run code when loaded; "
            f"convert them to {_SINGLE_FILE}"
        )
    raise CheckpointError(f"{folder}: holds neither {_SINGLE_FILE} nor {_INDEX_FILE}")


def _shards(index: Path) -> list[Path]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: has no readable weight_map ({error})") from error
    for name in names:
        # a name with a folder in it would read files outside the checkpoint
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{index}: weight_map names {name!r}, expected .safetensors files beside it")
    return [index.parent / name for name in sorted(names)]
