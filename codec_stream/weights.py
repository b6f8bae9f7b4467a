"""Reads the tensors of a codec checkpoint as one flat dictionary.

Weight norm is folded on the way in, so that a tensor is called `<layer>.weight` however the checkpoint stored it.
"""

from pathlib import Path

import torch
from torch import Tensor

from codec_stream.errors import CheckpointError
from codec_stream.tensors import read_tensors

# (magnitude, direction) as written by torch.nn.utils.weight_norm and by torch.nn.utils.parametrizations.weight_norm.
_WEIGHT_NORM_SUFFIXES = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def load_codec_weights(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of the checkpoint in `folder` on the CPU, floating point ones as float32, weight norm folded.

    Raises CheckpointError when `read_tensors` does, or when half of a weight-normed pair is missing.
    """
    stored = read_tensors(Path(folder))
    return fold_weight_norm(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
    )


def fold_weight_norm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace each weight-normed pair (g, v) by weight = g * v / |v|, and pass the other weights on.

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
