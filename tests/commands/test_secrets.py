"""Scope: keys and words stay out of what the server writes, at every log level, and out of `voiced config`."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from codec_stream.audio_file import wav_header
from realtime.commands.cli import main
from realtime.config import Config, ConfigError, load_config
from realtime.voices.files import OPENAI_NAMES, aliases
from tests.serving.asking import ask, form, handshake
from tests.serving.wire import noise_clip

KEY = "sk-canary-key-0123456789"
WRONG = "sk-canary-wrong-0123456789"
WORDS = "canary words"


def test_keys_are_read_and_never_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICED_API_KEYS", f"{KEY}, {WRONG}")
    config = load_config({})
    assert config.api_keys == [KEY, WRONG]
    assert "canary" not in f"{config} {config!r}"
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    assert '# api_keys = "…" is set' in shown
    assert "canary" not in shown
    assert "api_keys = []" not in shown
    assert "api_keys=[]" in repr(Config())


def test_a_mistake_beside_a_key_does_not_show_it(tmp_path: Path) -> None:
    file = tmp_path / "voiced.toml"
    for content in (f'api_keys = "{KEY}"', f'api_keys = [1, "{KEY}"]', f'api_keys = ["{KEY}"]\nport = "x"'):
        file.write_text(content)
        with pytest.raises(ConfigError) as refused:
            load_config({}, {}, str(file))
        assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "VOICED_API_KEYS"),
        (["--api-keys", "canary"], "at least 16"),
        (["--tls-cert", "nowhere.pem"], "belong together"),
    ],
)
def test_serve_refuses_to_start_in_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("voiced: ")
    assert message in said
    assert said.count("\n") == 1
    assert "canary" not in said


def test_openais_names_stand_for_a_checkpoints_voices_in_turn() -> None:
    meanings = aliases(["sam", "ada", "otto"], "sam")
    assert tuple(meanings) == OPENAI_NAMES
    assert [meanings[name] for name in OPENAI_NAMES[:4]] == ["sam", "ada", "otto", "sam"]
    assert set(aliases([], "").values()) == {""}
    assert set(aliases([], "sam").values()) == {"sam"}


async def _use(address: str) -> None:
    """Every way a key, a secret and words come in, right and wrong."""
    session = {"instructions": f"A room with {WORDS}."}
    path = "/v1/realtime/client_secrets"
    minted = await ask(address, "POST", path, {"session": session}, key=KEY)
    secret = minted.json["value"]
    for key in (KEY, WRONG, secret):
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"xi-api-key": key}):
            await ask(address, "GET", "/v1/models", None, headers)
            await handshake(address, "/v1/realtime", headers)
        await ask(address, "GET", f"/v1/models?api_key={key}")
        await handshake(address, f"/tts/websocket?api_key={key}")
        await handshake(address, f"/v1/realtime?api_key={key}&model=x", {"Authorization": f"Bearer {key}"})
    pcm = noise_clip(1)
    body, headers = form(
        ("name", "amy"),
        ("transcript", WORDS),
        ("consent", f"{WORDS} agreed"),
        ("audio_sample", wav_header(24000, frames=len(pcm) // 2) + pcm),
    )
    assert (await ask(address, "POST", "/v1/audio/voices", body, headers, key=KEY)).status == 200
    offered = ["realtime", f"openai-insecure-api-key.{secret}"]
    async with connect(f"ws://{address}/v1/realtime", subprotocols=offered) as connection:  # type: ignore[arg-type]
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": WORDS}]}
        await connection.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await connection.send(json.dumps({"type": "response.create", "response": {"voiced": {"paced": False}}}))
        while json.loads(await asyncio.wait_for(connection.recv(), 60))["type"] != "response.done":
            pass


@pytest.mark.parametrize("level", ["debug", "info"])
def test_neither_keys_nor_secrets_nor_words_are_logged_at_any_level(
    level: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "VOICED_API_KEYS": KEY,
        "VOICED_MODEL": str(tiny_checkpoint),
        "VOICED_THREADS": "1",
        "VOICED_PORT": str(port),
        "VOICED_LOG_LEVEL": level,
    }
    log = tmp_path / "log"
    with log.open("w") as target:
        serving = subprocess.Popen(
            [sys.executable, "-m", "realtime.commands.cli", "serve"], env=environment, stdout=target, stderr=target
        )
        try:
            asyncio.run(_when_ready(f"127.0.0.1:{port}", serving))
        finally:
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(30) == 0
    written = log.read_text()
    assert "ready at" in written
    assert ("GET /v1/models" in written) == (level == "debug"), "requests are logged where that is asked for"
    for canary in ("canary", "ek_"):
        assert canary not in written


async def _when_ready(address: str, serving: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(90):
        while True:
            assert serving.poll() is None
            try:
                if (await ask(address, "GET", "/readyz")).status == 200:
                    break
            except OSError:
                pass
            await asyncio.sleep(0.1)
        await _use(address)
