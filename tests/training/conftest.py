"""Scope: a work folder of random content in the recipe's own format, so that most tests need no synthesiser."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import HiggsAudioV2ForConditionalGeneration

from training import checkpointing, prompt
from training import quantizer as rvq
from training.codec import build_decoder
from training.export import export
from training.language import pocket_config
from training.speech import VOICES

NAMES = [voice.name for voice in VOICES]
SYMBOLS = [" ", ",", ".", "h", "ə", "l", "ˈO", "w", "ˈɝ", "d"]


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, a quantizer, an untrained decoder and an untrained language model."""
    folder = tmp_path_factory.mktemp("work")
    draw = np.random.default_rng(0)
    frames, symbols = draw.integers(4, 12, 30), draw.integers(3, 9, 30)
    np.savez(
        folder / "speech.npz",
        codes=draw.integers(0, 256, (frames.sum(), 7)).astype(np.uint8),
        owners=np.concatenate([np.sort(draw.integers(0, n, f)) for f, n in zip(frames, symbols, strict=True)]),
        symbols=draw.integers(0, len(SYMBOLS), symbols.sum()).astype(np.uint8),
        frame_starts=np.cumsum([0, *frames]),
        symbol_starts=np.cumsum([0, *symbols]),
    )
    (folder / "vocabulary.json").write_text(json.dumps(SYMBOLS), encoding="utf-8")
    feature = draw.standard_normal((600, rvq.PARTS * rvq.MELS)).astype(np.float32)
    fitted = rvq.fit(feature, len(VOICES), rounds=2)
    np.savez(folder / "quantizer.npz", mean=fitted.mean, basis=fitted.basis, books=fitted.books)
    torch.manual_seed(0)
    decoder = build_decoder(fitted.dims, 64)
    checkpointing.save(folder / "decoder.pt", {"model": decoder.state_dict()})
    model = HiggsAudioV2ForConditionalGeneration(pocket_config(prompt.build_tokenizer(NAMES), small=True))
    checkpointing.save(folder / "language.pt", {"model": model.state_dict()})
    model.save_pretrained(folder / "language")
    return folder


@pytest.fixture(scope="session")
def exported(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "pocket"
    export(work, folder)
    return folder
