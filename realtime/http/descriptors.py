"""How many connections there are descriptors for, beside what the engine, files and calls need of them."""

from __future__ import annotations

import contextlib
import resource

_BESIDE_SESSIONS = 1024
"""Connections that wait for a request, ask for something small, or listen to a call beside its caller."""

_PROCESS = 64
"""The engine, log, page files and uploads of one process."""

_SOCKETS_OF_A_CALL = 4
"""A WebRTC call has one for each address of the machine, and more with a STUN or TURN server."""


def most_connections(descriptors: int, max_sessions: int) -> int:
    """The connections of a server with so many descriptors. Where they are few, half are kept for everything else."""
    kept = min(_reserve(max_sessions), descriptors // 2)
    return max(1, min(_connections(max_sessions), descriptors - kept))


def raise_descriptors(max_sessions: int) -> None:
    """Let this process, and those it starts, open as many as the server can use, as far as the system allows."""
    wanted = _connections(max_sessions) + _reserve(max_sessions)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # then it is as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def descriptors() -> int:
    """How many this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def _connections(max_sessions: int) -> int:
    return max_sessions + _BESIDE_SESSIONS


def _reserve(max_sessions: int) -> int:
    return _PROCESS + _SOCKETS_OF_A_CALL * max_sessions
