"""Scope: `voiced say` and `voiced serve` as a person runs them: a process, files, exit statuses, one sentence each."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def environment(noise_checkpoint: Callable[[int], Path]) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {**os.environ, "VOICED_MODEL": str(noise_checkpoint(1)), "VOICED_THREADS": "1", "VOICED_PORT": str(port)}


def _voiced(environment: dict[str, str], *arguments: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "realtime.cli", *arguments]
    return subprocess.run(command, env=environment, input=given.encode(), capture_output=True, timeout=90)


def test_a_text_is_spoken_into_a_file_by_an_engine_of_its_own(environment: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    done = _voiced(environment, "say", "-", "-o", str(target), "--seed", "3", "--stats", given="Good evening.")
    said = done.stderr.decode()
    assert done.returncode == 0, said
    with wave.open(str(target)) as audio:
        assert (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) == (24000, 1, 2)
        assert audio.getnframes() > 12000
    assert "NOISE" in said
    assert "first audio after" in said
    assert str(target) in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "-o", "x.wav"], "empty"),
        (["Hello.", "--voice", "nobody"], "no voice 'nobody'"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(environment: dict[str, str], arguments: list[str], message: str) -> None:
    done = _voiced(environment, "say", *arguments)
    last = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("voiced: ")
    assert message in last
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize("stage", ["starting", "warming up"])
def test_ctrl_c_ends_it_quietly_at_every_stage(
    environment: dict[str, str], tmp_path: Path, stage: str, presses: int
) -> None:
    target = tmp_path / "out.wav"
    command = [sys.executable, "-m", "realtime.cli", "say", "Hello. " * 50, "-o", str(target)]
    saying = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with saying:
        assert saying.stderr is not None
        assert any(stage in line for line in saying.stderr)
        for _ in range(presses):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(saying.pid, signal.SIGINT)  # as a terminal does it: the engine gets it too
            time.sleep(0.05)
        said = saying.stderr.read()
        assert saying.wait(20) == 130, said
    assert [line for line in said.splitlines() if not line.startswith("voiced: ")] == []
    assert not target.exists()


def test_a_running_server_is_used_and_named_and_bare_pcm_goes_to_stdout(environment: dict[str, str]) -> None:
    serving = subprocess.Popen(
        [sys.executable, "-m", "realtime.cli", "serve"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert serving.stderr is not None
        assert any("ready at" in line for line in serving.stderr)
        done = _voiced(environment, "say", "Hi.", "-o", "-")
        assert done.returncode == 0, done.stderr.decode()
        assert f"using the server at 127.0.0.1:{environment['VOICED_PORT']}" in done.stderr.decode()
        assert len(done.stdout) > 12000
        assert len(done.stdout) % 2 == 0
        taken = _voiced(environment, "serve")
        assert taken.returncode == 1
        assert "cannot listen" in taken.stderr.decode().splitlines()[-1]
        assert "Traceback" not in taken.stderr.decode()
    finally:
        serving.terminate()
        assert serving.wait(20) == 0
        assert serving.stderr is not None
        serving.stderr.close()
