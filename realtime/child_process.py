"""Processes that the gateway starts: each has one end of a socket pair, and leaves when the other end closes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

_LEAVE_S = 2.0


def start_child(module: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `python -m module FD`, where FD is its end of a socket pair; returns the process and our end. It is born
    with the terminal's signals blocked. Raises OSError."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", module, str(theirs.fileno())]
    with theirs, _terminal_signals_blocked():
        try:
            return subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL), ours
        except BaseException:
            ours.close()
            raise


async def reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for the process to leave by itself; make it if it does not within 2 s."""
    deadline = time.monotonic() + _LEAVE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            process.kill()
            process.wait()
            raise
    if process.poll() is None:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _terminal_signals_blocked() -> Iterator[None]:
    """A process started here is born with them blocked: the terminal's Ctrl-C reaches all its processes, and a worker
    that still imports could not ignore it yet."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
