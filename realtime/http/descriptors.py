"""Computes how many connections there are descriptors for, beside what the engine, files and calls need of them."""

from __future__ import annotations

import contextlib
import resource

_BESIDE_SESSIONS = 1024
"""Room for connections that wait for a request, ask for something small, or listen to a call beside its caller."""

_PROCESS = 64
"""Room for the engine, log, page files and uploads of one process."""

_SOCKETS_OF_A_CALL = 4
"""Room for one call: it has a socket for each address of the machine, and more with a STUN or TURN server."""


def most_connections(descriptors: int, max_sessions: int) -> int:
    """Return how many connections a server with `descriptors` may have.

    Where descriptors are few, half of them are kept for everything else.
    """
    kept = min(_reserve(max_sessions), descriptors // 2)
    return max(1, min(_connections(max_sessions), descriptors - kept))


def raise_descriptors(max_sessions: int) -> None:
    """Let this process, and those it starts, open as many descriptors as the server can use, as far as the system
    allows.
    """
    wanted = _connections(max_sessions) + _reserve(max_sessions)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # then the limit stays as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def descriptors() -> int:
    """Return how many descriptors this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def _connections(max_sessions: int) -> int:
    return max_sessions + _BESIDE_SESSIONS


def _reserve(max_sessions: int) -> int:
    return _PROCESS + _SOCKETS_OF_A_CALL * max_sessions
