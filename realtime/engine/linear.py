"""Lays a weight matrix out once for the products it will take part in.

A decode step multiplies a handful of rows with every weight of the model. On the CPU, oneDNN's blocked layout makes
that about twice as fast as the plain one, and a row's result does not depend on how many others are in the batch.
Anywhere else the weight stays as it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_PACKED_ROWS = 16  # the layout is chosen for this many rows; any number can be multiplied


class Linear:
    """Multiplies x [N, in] -> [N, out], without a bias. It keeps only the layout it uses."""

    def __init__(self, weight: Tensor) -> None:
        self.packed = _can_pack(weight)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_ROWS) if self.packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        if self.packed:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, None, "none", [], "")
            return out
        return F.linear(x, self._weight)


def _can_pack(weight: Tensor) -> bool:
    """Tell whether this PyTorch has oneDNN and its packed product; float32 only, where every CPU gains."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and bool(torch.backends.mkldnn.is_available())
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
