"""Scope: `voiced say` and `voiced serve` as a person runs them: a process, files, exit statuses, one sentence each."""

import contextlib
import http.server
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from realtime.commands.reach import _running
from realtime.commands.say import write

FOLDER = Path(__file__).parent.parent / "access"
CERT, CERT_KEY = str(FOLDER / "localhost.pem"), str(FOLDER / "localhost.key")


@pytest.fixture
def environment(noise_checkpoint: Callable[[int], Path]) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {**os.environ, "VOICED_MODEL": str(noise_checkpoint(1)), "VOICED_THREADS": "1", "VOICED_PORT": str(port)}


def _voiced(
    environment: dict[str, str], *arguments: str | bytes, given: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "realtime.commands.cli", *arguments]
    return subprocess.run(command, env=environment, input=given, capture_output=True, timeout=90, cwd=cwd)


def test_a_text_is_spoken_into_a_file_by_an_engine_of_its_own(environment: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    done = _voiced(environment, "say", "-", "-o", str(target), "--seed", "3", "--stats", given=b"Good evening.")
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
        ([" ", "-o", "x.wav"], "empty"),
        (["\N{PARTY POPPER}", "-o", "x.wav"], "no word"),
        (["Hello.", "-o", "x.doc"], "use one of .wav, .mp3, .opus, .ogg, .aac, .flac, .pcm"),
        (["Hello.", "-o", "nowhere/x.wav"], "nowhere/x.wav cannot be written (No such file or directory)"),
        (["Hello.", "-o", "."], "cannot be written (Is a directory)"),
        (["Hello.", "-o", "/proc/x.wav"], "/proc/x.wav cannot be written"),
        ([b"caf\xe9", "-o", "x.wav"], "the text is not UTF-8 (byte 0xe9 after 3 characters)"),
        (["-", "-o", "x.wav"], "the text is not UTF-8 (byte 0xff after 3 characters)"),
        (["Hello.", "--instructions", b"\xe9", "-o", "x.wav"], "--instructions is not UTF-8"),
        (["Hello.", "--voice", "amy", "-o", "x.wav"], "there is no voice 'amy'"),
        (["Hello.", "--voice", "onix", "-o", "x.wav"], "there is no voice 'onix'; did you mean 'onyx'?"),
    ],
)
def test_what_cannot_be_said_or_kept_is_one_sentence_before_anything_is_loaded(
    environment: dict[str, str], tmp_path: Path, arguments: list[str | bytes], message: str
) -> None:
    done = _voiced(environment, "say", *arguments, given=b"caf\xff", cwd=tmp_path)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert said.startswith("voiced: ")
    assert message in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_the_server_refuses_is_one_sentence_and_leaves_the_file_as_it_was(
    environment: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "kept.wav"
    target.write_text("kept")
    with _serving(environment):
        done = _voiced(environment, "say", "Hello.", "--voice", "nobody", "-o", str(target))
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "no voice 'nobody'" in said.splitlines()[-1]
    assert [line for line in said.splitlines() if not line.startswith("voiced: ")] == []
    assert target.read_text() == "kept"


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize("stage", ["starting", "warming up"])
def test_ctrl_c_ends_it_quietly_at_every_stage(
    environment: dict[str, str], tmp_path: Path, stage: str, presses: int
) -> None:
    target = tmp_path / "out.wav"
    command = [sys.executable, "-m", "realtime.commands.cli", "say", "Hello. " * 50, "-o", str(target)]
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


@contextlib.contextmanager
def _serving(environment: dict[str, str]) -> Iterator[None]:
    serving = subprocess.Popen(
        [sys.executable, "-m", "realtime.commands.cli", "serve"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert serving.stderr is not None
        assert any("ready at" in line for line in serving.stderr)
        yield
    finally:
        serving.terminate()
        assert serving.wait(20) == 0
        assert serving.stderr is not None
        serving.stderr.close()


def test_a_running_server_is_used_and_named_and_bare_pcm_goes_to_stdout(environment: dict[str, str]) -> None:
    with _serving(environment):
        done = _voiced(environment, "say", "Hi.", "-o", "-", "--slots", "3")
        said = done.stderr.decode()
        assert done.returncode == 0, said
        assert f"using the server at 127.0.0.1:{environment['VOICED_PORT']}" in said
        assert "not used: model, slots, threads\n" in said
        assert len(done.stdout) > 12000
        assert len(done.stdout) % 2 == 0
        for url in (
            f"http://127.0.0.1:{environment['VOICED_PORT']}",
            f"ws://127.0.0.1:{environment['VOICED_PORT']}/v1",
        ):
            assert _voiced(environment, "say", "Hi.", "-o", "-", "--url", url).returncode == 0
        taken = _voiced(environment, "serve")
        assert taken.returncode == 1
        assert "cannot listen" in taken.stderr.decode().splitlines()[-1]
        assert "Traceback" not in taken.stderr.decode()


def test_a_running_server_behind_tls_and_keys_is_used_by_who_has_a_key(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {"VOICED_TLS_CERT": CERT, "VOICED_TLS_KEY": CERT_KEY, "VOICED_API_KEYS": "key-of-a-test-0123456789"}
    using = f"using the server at 127.0.0.1:{environment['VOICED_PORT']}"
    target = tmp_path / "out.ogg"
    with _serving(environment):
        done = _voiced(environment, "say", "Hi.", "-o", str(target))
        assert done.returncode == 0, done.stderr.decode()
        assert using in done.stderr.decode()
        assert target.read_bytes()[:4] == b"OggS"
        done = _voiced({**environment, "VOICED_API_KEYS": ""}, "say", "Hi.", "-o", str(target))
        said = done.stderr.decode()
        assert done.returncode == 0, said
        assert "wants a key: give one in VOICED_API_KEYS" in said
        assert using not in said
        plain = {**environment, "VOICED_TLS_CERT": "", "VOICED_TLS_KEY": "", "VOICED_API_KEYS": ""}
        url = f"wss://localhost:{environment['VOICED_PORT']}/v1/realtime"
        done = _voiced({**plain, "SSL_CERT_FILE": CERT}, "say", "Hi.", "--url", url, "-o", str(target))
        assert done.returncode == 1
        assert "VOICED_API_KEYS" in done.stderr.decode().splitlines()[-1]


class _Ready(http.server.BaseHTTPRequestHandler):
    """Says that a server is ready, as one that runs the checkpoint `noise`."""

    def do_GET(self) -> None:
        body = b'{"status": "ready", "engine": {"checkpoint": "noise"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_a_running_server_behind_tls_is_found_without_a_flag_or_said_to_be_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    certified = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certified.load_cert_chain(CERT, CERT_KEY)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ready) as server:
        server.socket = certified.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"localhost:{server.server_address[1]}"
        try:
            assert _running(at, [], None) is None
            said = capsys.readouterr().err
            assert f"the certificate of the server at https://{at}/readyz is not trusted here" in said
            assert "--tls-cert" in said
            monkeypatch.setenv("SSL_CERT_FILE", CERT)
            assert _running(at, [], None) == ("checkpoint noise", f"wss://{at}/v1/realtime")
            assert capsys.readouterr().err == ""
        finally:
            server.shutdown()


def test_a_file_is_written_as_its_ending_says(tmp_path: Path) -> None:
    pcm = (np.sin(np.arange(24000) / 10) * 9000).astype("<i2").tobytes()
    for ending, magic in (
        ("wav", b"RIFF"),
        ("mp3", b"\xff"),
        ("opus", b"OggS"),
        ("ogg", b"OggS"),
        ("aac", b"\xff\xf1"),
        ("FLAC", b"fLaC"),
        ("pcm", pcm[:4]),
    ):
        write(tmp_path / f"out.{ending}", pcm)
        assert (tmp_path / f"out.{ending}").read_bytes().startswith(magic)
    write(tmp_path / "out", pcm)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "out.wav").read_bytes()


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_full_disk_is_told_with_the_file_that_does_not_fit(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"out.{ending}"
    target.symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"^{target} cannot be written \(No space left on device\); choose another file"):
        write(target, b"\0\0" * 2400)
