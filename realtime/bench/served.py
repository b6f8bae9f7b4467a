"""Runs the server that a benchmark measures, as users run it: its gateway and each worker in a process of its own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence

import psutil

from realtime.bench.report import progress


@contextlib.contextmanager
def served(flags: Sequence[str]) -> Iterator[tuple[psutil.Process, str]]:
    """Run a `voiced serve` with these flags, and give its process and address once it is ready. Raises RuntimeError."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "realtime.commands.cli", "serve", "--port", str(port), "--drain-s", "1", *flags]
    progress("starting the server")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"127.0.0.1:{port}"
        _wait_ready(process, address)
        yield psutil.Process(process.pid), address
    finally:
        process.terminate()
        process.wait(15)


def _wait_ready(process: subprocess.Popen[bytes], address: str) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server did not start; try `voiced serve` to see why")


def cpu_seconds(server: psutil.Process) -> tuple[float, float]:
    """Return the CPU time of the gateway, and of its child processes."""

    def spent(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    return spent(server), sum(spent(child) for child in server.children(recursive=True))
