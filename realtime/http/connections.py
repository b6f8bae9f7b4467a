"""Accepts as many connections as there are descriptors for. Connections without a request make room for new ones.

A connection counts from when it is accepted until it is closed, whatever it is in between: a TLS handshake, requests, a
WebSocket. asyncio alone would accept until no descriptor is left, then log that as fast as it can.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from realtime.metrics.registry import DropReason

log = logging.getLogger("voiced.http")

_QUIET_S = 60.0
"""A shortage of room is over when no connection was dropped for this long. Each shortage gets one line in the log."""

_PAUSE_S = 0.5
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_NO_ROOM = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"


class Connections:
    """Keeps the connections that are open, at most `limit`.

    A few more may be open for the moment in which others are being closed for them.
    """

    def __init__(
        self, limit: int, dropped: Callable[[DropReason], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Call `dropped` for each connection that is refused, or closed to make room. `clock` is monotonic seconds."""
        self.limit = limit
        self._dropped = dropped
        self._clock = clock
        self._most_leaving = max(4, limit // 8)
        self._open: dict[int, socket.socket] = {}  # by descriptor
        self._waiting: dict[int, None] = {}  # those that wait for a request, the longest first
        self._leaving: set[int] = set()
        self._dropped_at = -_QUIET_S

    def __len__(self) -> int:
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Return how many connections have no request under way."""
        return len(self._waiting)

    def make_room(self) -> bool:
        """Tell whether one more connection may come in.

        Where there is no room, the connection that has waited for a request the longest is closed for it.
        """
        if len(self._open) - len(self._leaving) < self.limit:
            return True
        if len(self._leaving) >= self._most_leaving:
            return False
        return self.close_one_that_waits()

    def close_one_that_waits(self) -> bool:
        """Close the connection that has waited for a request the longest; return False where all are at work."""
        if not self._waiting:
            return False
        descriptor = next(iter(self._waiting))
        del self._waiting[descriptor]
        self._leaving.add(descriptor)
        with contextlib.suppress(OSError):  # the peer may be gone already
            self._open[descriptor].shutdown(socket.SHUT_RDWR)  # its transport reads the end, and closes it
        self._note("gave_way")
        return True

    def refused(self) -> None:
        """Note that a connection was closed as soon as it was accepted."""
        self._note("refused")

    def opened(self, connection: socket.socket) -> None:
        """Note a connection that came in."""
        self._open[connection.fileno()] = connection
        self._waiting[connection.fileno()] = None

    def closed(self, descriptor: int) -> None:
        """Note that a connection is gone; may be called twice."""
        self._open.pop(descriptor, None)
        self._waiting.pop(descriptor, None)
        self._leaving.discard(descriptor)

    def works(self, descriptor: int) -> None:
        """Note that a request is under way on a connection, or that it became a WebSocket."""
        self._waiting.pop(descriptor, None)

    def waits(self, descriptor: int) -> None:
        """Note that a connection waits for a request, from now on."""
        if descriptor in self._open and descriptor not in self._leaving:
            self._waiting.setdefault(descriptor)

    def _note(self, reason: DropReason) -> None:
        now = self._clock()
        if now - self._dropped_at >= _QUIET_S:
            log.warning(
                "%d connections are open, and there may be %d: those without a request are closed for new ones, and "
                "where there are none, new ones are refused. See voiced_connections_dropped_total.",
                len(self._open),
                self.limit,
            )
        self._dropped_at = now
        self._dropped(reason)


class Listener(socket.socket):
    """Listens, and accepts no more connections than `connections` has room for; all others it refuses at once."""

    def __init__(self, family: int, connections: Connections) -> None:
        super().__init__(family)
        self._connections = connections
        self._spare = _spare()
        self._paused_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the next connection. Raises BlockingIOError where there is none, or none that is let in."""
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno not in _NO_DESCRIPTOR:
                raise
            self._refuse_without_descriptor(error)
        if not self._connections.make_room():
            _refuse(connection)
            self._connections.refused()
            raise BlockingIOError(errno.EAGAIN, "refused: no room for another connection")
        accepted = _Accepted(connection, self._connections)
        self._connections.opened(accepted)
        return accepted, address

    def close(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        super().close()

    def _refuse_without_descriptor(self, error: OSError) -> NoReturn:
        """Give up the spare descriptor to refuse whoever waits, since asyncio would report them again and again
        otherwise.

        This happens when files or calls took more descriptors than were kept for them. Raises BlockingIOError; OSError
        where not even the spare one was left, so that asyncio pauses.
        """
        self._connections.close_one_that_waits()
        had_one = self._spare is not None
        if self._spare is not None:
            os.close(self._spare)
        with contextlib.suppress(OSError):
            connection, _ = super().accept()
            _refuse(connection)
            self._connections.refused()
        self._spare = _spare()
        now = time.monotonic()
        if not had_one and now >= self._paused_until:
            self._paused_until = now + _PAUSE_S
            raise error  # asyncio logs it and accepts nothing for a second, but not before it has tried some times more
        raise BlockingIOError(errno.EAGAIN, "refused: no descriptor is left") from error


class _Accepted(socket.socket):
    """Is an accepted connection that tells when it is closed."""

    def __init__(self, connection: socket.socket, connections: Connections) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self._connections = connections

    def close(self) -> None:
        self._connections.closed(self.fileno())
        super().close()


def _refuse(connection: socket.socket) -> None:
    """Close a connection with an answer that costs no waiting. Over TLS it is none, and the handshake fails."""
    with connection, contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(_NO_ROOM)


def _spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
