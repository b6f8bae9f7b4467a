"""Scope: a server as its users start it, in a process of its own, and the keys to it. Nothing of the project is
imported: the same scenarios run against any tree of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.wires.asking import ask

ROOT = Path(__file__).parents[2]
KEY = "sk-wires-0123456789abcdef"
FRIEND = "https://friend.example"
MAX_SESSIONS = 8
_START_S = 300.0


@dataclass(frozen=True)
class Served:
    """A server that answers at `address`, HOST:PORT. `key` opens it; empty: nobody needs one."""

    address: str
    key: str
    process: asyncio.subprocess.Process
    tree: Path

    def opened_by(self, key: str) -> Served:
        """The same server to somebody who has another key, or none."""
        return replace(self, key=key)

    def stop(self) -> None:
        """Ask it to finish what is being said and to leave."""
        self.process.send_signal(signal.SIGTERM)


@contextlib.asynccontextmanager
async def serving(tree: Path, key: str = KEY) -> AsyncIterator[Served]:
    """The server of a `tree` of the project, with the built-in checkpoint on one CPU thread. Leaving kills it."""
    port = _free_port()
    flags = ["--port", str(port), "--device", "cpu", "--threads", "1", "--max-sessions", str(MAX_SESSIONS)]
    flags += ["--allowed-origins", FRIEND, "--log-level", "error"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
    environment |= {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "VOICED_API_KEYS": key}
    environment |= {"VOICED_RECOGNISER": "none"}  # what was recorded had none
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", _command(tree), "serve", *flags],
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=complaints,
        )
        served = Served(f"127.0.0.1:{port}", key, process, tree)
        try:
            await _listens(served)
            yield served
        except BaseException:
            complaints.seek(0)
            sys.stderr.write(complaints.read().decode()[-4000:])
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def ready(served: Served) -> None:
    """Wait until speech can be asked for."""
    async with asyncio.timeout(_START_S):
        while (await ask(served.address, "GET", "/readyz")).status != 200:
            await asyncio.sleep(0.1)


async def _listens(served: Served) -> None:
    async with asyncio.timeout(_START_S):
        while True:
            assert served.process.returncode is None, "the server ended"
            with contextlib.suppress(OSError):
                await ask(served.address, "GET", "/healthz")
                return
            await asyncio.sleep(0.1)


def _command(tree: Path) -> str:
    """What the `voiced` command of a tree does, wherever its code lies."""
    module, function = tomllib.loads((tree / "pyproject.toml").read_text())["project"]["scripts"]["voiced"].split(":")
    return f"import sys; from {module} import {function}; sys.argv[0] = 'voiced'; sys.exit({function}())"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
