"""Scope: transformers' own codec model as the reference of the parity tests, without torchaudio.

transformers imports torchaudio for one call, `functional.resample`, and refuses to build the model without it. A stub
that calls `codec_stream.resample` stands in for it, so both sides of a parity test see the same resampled audio.
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codec_stream.resample import resample


def transformers_codec(folder: Path) -> Any:
    """The `HiggsAudioV2TokenizerModel` stored in `folder`, in eval mode, float32, on the CPU.

    Fails when the checkpoint lacks a tensor that the model wants, or holds one that it does not know.
    """
    model_class = _model_class()
    model, report = model_class.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    problems = {kind: keys for kind, keys in report.items() if keys}
    assert not problems, f"{folder} is not in the format of transformers: {problems}"
    return model.eval()


def _model_class() -> Any:
    from transformers.utils import import_utils

    import_utils.BACKENDS_MAPPING["torchaudio"] = (lambda: True, "")
    real = sys.modules.get("torchaudio")
    sys.modules["torchaudio"] = _torchaudio_stub()
    try:
        from transformers.models.higgs_audio_v2_tokenizer import modeling_higgs_audio_v2_tokenizer
    finally:
        # The model's module keeps its own reference; nobody else should find a torchaudio that can only resample.
        del sys.modules["torchaudio"]
        if real is not None:
            sys.modules["torchaudio"] = real
    return modeling_higgs_audio_v2_tokenizer.HiggsAudioV2TokenizerModel


def _torchaudio_stub() -> ModuleType:
    stub = ModuleType("torchaudio")
    stub.__spec__ = ModuleSpec("torchaudio", loader=None)
    functional = ModuleType("torchaudio.functional")
    functional.resample = _resample  # type: ignore[attr-defined]
    stub.functional = functional  # type: ignore[attr-defined]
    return stub


def _resample(waveform: Tensor, orig_freq: int, new_freq: int) -> Tensor:
    """waveform [B, 1, samples at orig_freq] -> [B, 1, samples at new_freq]."""
    rows = [resample(row[0].numpy(), orig_freq, new_freq) for row in waveform]
    return torch.from_numpy(np.stack(rows)[:, None])
