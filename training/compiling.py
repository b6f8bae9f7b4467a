"""Compiles training steps: the many element-wise operations are fused, for a minute or two of compiling."""

from __future__ import annotations

import os
import shutil
from typing import cast

import torch
from torch import nn


def compiled(module: nn.Module, eager: bool) -> nn.Module:
    """Return `module` compiled by torch for inputs of any length.

    It is returned as it is if `eager`, or without a C++ compiler ($CXX or g++).
    """
    if eager or shutil.which(os.environ.get("CXX", "g++")) is None:
        return module
    return cast(nn.Module, torch.compile(module, dynamic=True))  # of a module, torch makes a module
