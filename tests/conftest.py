"""Scope: what all tests share: one torch thread, small random checkpoints made once, and what each test needs.

A test is marked by what it needs, from where it lies: `browser`, `foreign` (other people's clients), `process` (a
server or a worker of its own), `checkpoint` (a model in this process), `patience` (seconds of searching or of audio),
`quiet` (the machine to itself).
`--quick` runs those that need none of it, and holds them to it.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from realtime.checkpoints.noise import Size, make_noise_checkpoint

pytest_plugins = ["tests.serving.fixtures"]

HERE = Path(__file__).parent
NEEDS = {
    "browser": ["browser"],
    "foreign": ["interop", "clients/test_browser_package.py"],
    "quiet": ["bench"],
    "process": [
        "agent/test_mcp_servers.py",
        "clients",
        "commands",
        "deploy",
        "engine/test_hang.py",
        "engine/test_imports.py",
        "engine/test_voices.py",
        "engine/test_worker.py",
        "hearing/test_process.py",
        "http/test_connections.py",
        "http/test_http_connection.py",
        "http/test_place.py",
        "http/test_routes.py",
        "http/test_tls.py",
        "http/test_voice_uploads.py",
        "http/test_websocket_connection.py",
        "metrics/test_metrics_served.py",
        "recognition/test_recogniser_process.py",
        "shell/test_hearing_lost.py",
        "shell/test_spoken_turns.py",
        "transports",
        "wires",
    ],
    "checkpoint": [
        "codec_stream/test_decoder.py",
        "codec_stream/test_encoder.py",
        "codec_stream/test_synthetic_codec.py",
        "engine/test_attention.py",
        "engine/test_faults.py",
        "engine/test_gpu.py",
        "engine/test_loading.py",
        "engine/test_parity.py",
        "engine/test_sampling.py",
        "engine/test_steps.py",
        "training",
    ],
    "patience": [
        "codec_stream/test_containers.py",
        "codec_stream/test_incoming.py",
        "codec_stream/test_opus.py",
        "engine/test_scheduler.py",
        "fuzz",
        "hearing",
        "rtc/test_peer.py",
        "rtc/test_peer_attacks.py",
        "rtc/test_rtc_loss.py",
        "session/test_clauses.py",
        "session/test_invariants.py",
    ],
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only what needs no process, browser, client or checkpoint")


def pytest_configure(config: pytest.Config) -> None:
    # Small tensors: more threads only wait for each other.
    torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The recipes take minutes: begun last, one core would wait for the other.
    items.sort(key=lambda item: item.path.parent != HERE / "training")
    for item in items:
        for need in _needs(item.path):
            item.add_marker(need)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
    if config.getoption("--quick"):
        slow = [item for item in items if any(map(item.get_closest_marker, NEEDS))]
        items[:] = [item for item in items if item not in set(slow)]
        config.hook.pytest_deselected(items=slow)


def pytest_sessionstart(session: pytest.Session) -> None:
    gone = [place for places in NEEDS.values() for place in places if not (HERE / place).exists()]
    if gone:
        raise pytest.UsageError(f"tests/conftest.py: NEEDS names what is not there: {', '.join(gone)}")


def _needs(path: Path) -> list[str]:
    """What a test module needs, by the folder or file that `NEEDS` names."""
    where = path.relative_to(HERE)
    return [need for need, places in NEEDS.items() if any(where.is_relative_to(place) for place in places)]


@pytest.fixture(autouse=True)
def _quick_tests_start_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.config.getoption("--quick"):
        return

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("this test starts a process: name its module under NEEDS in tests/conftest.py")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


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
