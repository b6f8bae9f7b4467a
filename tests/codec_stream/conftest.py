"""Scope: one small random codec per test session, and our and transformers' view of it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from codec_stream.codec_config import CodecConfig
from codec_stream.synthetic import random_codec
from tests.oracle import transformers_codec


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    # Small tensors: more threads only wait for each other.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    random_codec(folder)
    return folder


@pytest.fixture(scope="session")
def codec_config(codec_folder: Path) -> CodecConfig:
    return CodecConfig.from_json(codec_folder / "config.json")


@pytest.fixture(scope="session")
def reference_codec(codec_folder: Path) -> Any:
    return transformers_codec(codec_folder)
