"""Starts the processes of the gateway: each holds one end of a socket pair, and leaves when the other end closes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType

log = logging.getLogger("voiced")

_LEAVE_S = 2.0


def start_child(
    module: str, environment: Mapping[str, str] = MappingProxyType({})
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `python -m module FD`, where FD is its end of a socket pair; return the process and our end.

    The process is born with the terminal's signals blocked. `environment` is added to ours. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", module, str(theirs.fileno())]
    with theirs, _terminal_signals_blocked():
        try:
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, **environment}
            )
            return process, ours
        except BaseException:
            ours.close()
            raise


async def reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process to leave by itself, and kill it if it has not left within 2 s.

    A process that cannot even be killed, since it waits for a device or a disk, is left behind with a line in the log.
    """
    try:
        if not await _left(process):
            process.kill()
            if not await _left(process):
                log.error("process %d cannot be ended; it is left behind", process.pid)
    except asyncio.CancelledError:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVE_S)
        raise


async def _left(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether the process has gone, or goes within 2 s."""
    deadline = time.monotonic() + _LEAVE_S
    while process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return process.poll() is not None


@contextlib.contextmanager
def _terminal_signals_blocked() -> Iterator[None]:
    """Block the terminal's signals while a process is started, so that it is born with them blocked.

    The terminal's Ctrl-C reaches all processes, and a worker that is still importing could not ignore it yet.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
