"""Runs transformers' side of the engine benchmark: `generate` for one request, or for a static batch of many."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import HiggsAudioV2ForConditionalGeneration
from transformers.utils import logging

from realtime.bench.report import seconds


class Peer:
    """Runs the reference model with its own cache, delay pattern processor and sampling loop, greedy."""

    def __init__(self, folder: Path, pad_id: int) -> None:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self._model = HiggsAudioV2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self._pad_id = pad_id

    def rows(self, prompts: Sequence[np.ndarray], count: int) -> np.ndarray:
        """Return the first `count` drawn rows for each of `prompts` (text ids, any lengths), [B, count, K]."""
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self._pad_id)
        mask = torch.zeros_like(ids)
        for index, prompt in enumerate(prompts):
            ids[index, longest - len(prompt) :] = torch.from_numpy(prompt)
            mask[index, longest - len(prompt) :] = 1
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # its first new "token" is the all-BOS row, which is not drawn
            out = self._model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=count + 1)
        assert isinstance(out, torch.Tensor)
        return out[:, 1:].numpy()

    def seconds(self, prompts: Sequence[np.ndarray], count: int) -> float:
        """Return the wall time that `rows` takes, in seconds."""
        return seconds(lambda: self.rows(prompts, count))
