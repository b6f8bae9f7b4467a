"""Scope: the browser module as a package: `npm pack` puts in what other pages need, and nothing of our own."""

import json
import re
import subprocess
from pathlib import Path

from realtime import __version__
from tests.interop.environment import ROOT, clients

FOLDER = ROOT / "clients" / "browser"
_LOADED = re.compile(r"""(?:from|import|new URL\() ?["']\./([\w.-]+)["']""")


def needed(entry: str) -> set[str]:
    """A module's file and those of all that it loads, and they load in turn."""
    found: set[str] = set()
    waiting = {entry}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= set(_LOADED.findall((FOLDER / name).read_text())) - found
    return found


def test_npm_packs_the_module_and_all_that_it_loads(tmp_path: Path) -> None:
    made = clients()
    command = [made.node, made.npm, "pack", "--dry-run", "--json", "--offline", f"--cache={tmp_path}", str(FOLDER)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    (package,) = json.loads(told)
    assert (package["name"], package["version"]) == ("voiced", __version__)
    assert {file["path"] for file in package["files"]} == needed("voiced.js") | {"package.json", "README.md"}


def test_its_entry_is_the_module() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    assert (package["type"], package["exports"]["."]) == ("module", "./voiced.js")
    assert "worklets.js" in needed("voiced.js")
