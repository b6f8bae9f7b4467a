"""Scope: what all tests share: one torch thread, small random checkpoints made once, the `gpu` marker."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from realtime.checkpoints.noise import Size, make_noise_checkpoint

pytest_plugins = ["tests.serving.fixtures"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs a CUDA device; left out where there is none")
    # Small tensors: more threads only wait for each other.
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(scope="session")
def noise_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A small random checkpoint by seed, made on first use."""
    made: dict[int, Path] = {}

    def make(seed: int) -> Path:
        if seed not in made:
            made[seed] = make_noise_checkpoint(tmp_path_factory.mktemp(f"noise{seed}") / "checkpoint", seed=seed)
        return made[seed]

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One layer, little width: for tests that take many steps and look at bookkeeping."""
    size = Size(hidden=32, layers=1, heads=2, kv_heads=1, head_dim=16, intermediate=64, max_positions=1024)
    return make_noise_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint", size, seed=5)
