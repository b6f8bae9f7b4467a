"""Scope: the server as an application: what its wheel holds, and that no index takes it."""

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The server's wheel, built from what git knows: a build beside it leaves nothing in the repository."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for package in ("realtime", "codec_stream", "protocol", "clients", "training"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(built), str(source)]
    subprocess.run(command, check=True, timeout=300, stdin=subprocess.DEVNULL)
    (file,) = built.iterdir()
    return zipfile.ZipFile(file)


def test_it_holds_what_the_server_needs_and_no_recipe(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {
        "clients",
        "codec_stream",
        "protocol",
        "realtime",
    }
    for package in ("clients", "codec_stream", "protocol", "realtime"):
        assert f"{package}/py.typed" in names
    for folder in ("realtime/checkpoints/pocket", "clients/browser", "realtime/text"):
        assert {str(path.relative_to(ROOT)) for path in ROOT.glob(f"{folder}/*.*") if path.is_file()} <= names
    assert not [name for name in names if name.startswith(("clients/examples", "clients/python/packing"))]


def test_it_names_its_licences_and_is_never_published(wheel: zipfile.ZipFile) -> None:
    folder = next(name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    told = message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert told["Name"] == "voiced-server"
    assert told.get_all("Classifier") == ["Private :: Do Not Upload"]
    assert told.get_all("License-File") == ["LICENSE", "NOTICE"]
    for file in ("LICENSE", "NOTICE"):
        assert wheel.read(f"{folder}/licenses/{file}").decode() == (ROOT / file).read_text()
