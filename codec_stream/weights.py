"""Scope: the tensors of a codec checkpoint as one flat dictionary, read from safetensors files only.

Weight norm is folded on the way in, so that a tensor is called `<layer>.weight` however the checkpoint stored it.
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
# (magnitude, direction) as written by torch.nn.utils.weight_norm and by torch.nn.utils.parametrizations.weight_norm.
_WEIGHT_NORM_SUFFIXES = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def load_codec_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of the checkpoint in `folder` on the CPU, floating point ones as float32, weight norm folded.

    Reads `model.safetensors`, or the shards that `model.safetensors.index.json` names. Raises CheckpointError when
    there is neither, when a file is damaged, or when half of a weight-normed pair is missing.
    """
    folder = Path(folder)
    weights: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        try:
            weights.update(load_file(path))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: is not a readable safetensors file ({error})") from error
    weights = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    return fold_weight_norm(weights)


def fold_weight_norm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` with each weight-normed pair (g, v) replaced by weight = g * v / |v|; the rest is passed on.

    The norm runs over the dimensions in which g has size 1. Raises CheckpointError when a pair is incomplete.
    """
    folded = dict(weights)
    for magnitude_suffix, direction_suffix in _WEIGHT_NORM_SUFFIXES:
        for suffix, other in ((magnitude_suffix, direction_suffix), (direction_suffix, magnitude_suffix)):
            for name in [name for name in folded if name.endswith(suffix)]:
                layer = name.removesuffix(suffix)
                if layer + other not in folded:
                    raise CheckpointError(f"the codec weights hold {name} but not {layer + other}; both are needed")
                pair = {suffix: folded.pop(name), other: folded.pop(layer + other)}
                magnitude, direction = pair[magnitude_suffix], pair[direction_suffix]
                normed = [axis for axis in range(direction.dim()) if magnitude.shape[axis] == 1]
                norm = torch.linalg.vector_norm(direction, dim=normed, keepdim=True)
                folded[layer + ".weight"] = direction * (magnitude / norm)
    return folded


def _weight_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: is not a folder; expected a codec checkpoint with {_SINGLE_FILE}")
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
        # A name with a folder in it would read files outside the checkpoint.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{index}: weight_map names {name!r}, expected .safetensors files beside it")
    return [index.parent / name for name in sorted(names)]
