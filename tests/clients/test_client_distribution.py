"""Scope: the Python client as it is published: built into a wheel, installed alone, and spoken with."""

import asyncio
import json
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from realtime import __version__
from realtime.commands.serve import running
from realtime.config import Config

ROOT = Path(__file__).parent.parent.parent
CLIENT = ROOT / "clients" / "python"

CONVERSATION = """
import asyncio, importlib.metadata, json, sys
from voiced import VoicedError, connect
from voiced.protocol.objects import Generation

async def main(url):
    async with connect(url, generation=Generation(paced=False, greedy=True, seed=1)) as conversation:
        speech = await conversation.say("Good evening.")
        pcm = await speech.read()
        try:
            await conversation.update(voice="nobody")
        except VoicedError as error:
            code = error.code
    installed = sorted(found.name.lower() for found in importlib.metadata.distributions())
    print(json.dumps([len(pcm), speech.samples, speech.transcript, code, installed]))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel, built from the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, CLIENT)
    (built,) = folder.iterdir()
    return built


@pytest_asyncio.fixture
async def url(noise_checkpoint: Callable[[int], Path]) -> AsyncIterator[str]:
    config = Config(port=0, model=str(noise_checkpoint(1)), device="cpu", threads=1)
    async with running(config) as (_, gateway, address):
        await asyncio.wait_for(gateway.engine.wait_ready(), 150)
        yield address


async def test_installed_alone_it_holds_a_conversation(wheel: Path, tmp_path: Path, url: str) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    await asyncio.to_thread(_run, python, "-m", "pip", "install", "--quiet", wheel)
    program = (python, "-I", "-c", CONVERSATION, url)
    process = await asyncio.create_subprocess_exec(*program, stdout=subprocess.PIPE, cwd=tmp_path)
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    octets, samples, transcript, code, installed = json.loads(told)
    assert octets == 2 * samples > 0
    assert transcript == "Good evening."
    assert code == "invalid_value"
    assert set(installed) <= {"msgspec", "voiced", "websockets", "pip", "setuptools"}


def test_its_wheel_is_the_client_and_the_protocol_with_a_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        sources = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    modules = {path.name for path in CLIENT.glob("*.py")} | {
        f"protocol/{path.name}" for path in ROOT.glob("protocol/*.py")
    }
    assert set(sources) == {f"voiced/{name}" for name in modules}
    assert {"voiced/py.typed", "voiced/LICENSE"} <= names
    for name, source in sources.items():
        compile(source, name, "exec")
        lines = source.splitlines()
        assert not [line for line in lines if line.startswith(("from clients", "from protocol", "import protocol"))], (
            name
        )


def test_server_and_clients_have_one_version() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    package = json.loads((ROOT / "clients" / "browser" / "package.json").read_text())
    assert (project["version"], package["version"]) == (__version__, __version__)


def _run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), check=True, timeout=300, stdin=subprocess.DEVNULL)
