"""Frames the messages between the gateway and the processes it starts: a length and a msgpack body.

Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import msgspec

LENGTH_BYTES = 4
_AT_ONCE_BYTES = 1 << 24
_encoder = msgspec.msgpack.Encoder()


def packed(message: msgspec.Struct) -> bytes:
    """Return a message as it travels: the length of its body (4 bytes, little endian) and the body in msgpack."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class Bodies:
    """Puts whole messages together from bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def add(self, data: bytes) -> None:
        """Append bytes as they were read."""
        self._buffer += data

    def take(self) -> Iterator[bytes]:
        """Yield the bodies of the messages that are whole, oldest first. Those that the caller does not ask for
        stay.
        """
        while len(self._buffer) >= LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:LENGTH_BYTES], "little") + LENGTH_BYTES
            if len(self._buffer) < size:
                return
            body = bytes(self._buffer[LENGTH_BYTES:size])
            del self._buffer[:size]
            yield body


class Inbox:
    """Reads whole messages from a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bodies = Bodies()

    def wait(self, seconds: float | None) -> bool:
        """Wait at most `seconds` (None: for ever) until something can be read, and tell whether it can."""
        ready, _, _ = select.select([self._connection], [], [], seconds)
        return bool(ready)

    def receive(self) -> Iterator[bytes]:
        """Read what has arrived and yield the whole messages in it. It blocks until there is something to read.

        Raises EOFError when the other end is gone.
        """
        data = self._connection.recv(1 << 20)
        if not data:
            raise EOFError
        self._bodies.add(data)
        taken = len(data)
        # a message of megabytes arrives in many pieces: read on, or each would cost its reader one pass of its loop
        with contextlib.suppress(BlockingIOError):
            while data and taken < _AT_ONCE_BYTES:
                data = self._connection.recv(1 << 20, socket.MSG_DONTWAIT)
                self._bodies.add(data)
                taken += len(data)
        yield from self._bodies.take()
