"""How messages travel between the gateway and the processes it starts: a length and a msgpack body. Nothing is
pickled."""

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
    """A message as it travels: its length (4 bytes, little endian) and its msgpack form."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class Bodies:
    """Whole messages out of bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def add(self, data: bytes) -> None:
        """More bytes, as they were read."""
        self._buffer += data

    def take(self) -> Iterator[bytes]:
        """The bodies of the messages that are whole, oldest first; what is not asked for stays."""
        while len(self._buffer) >= LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:LENGTH_BYTES], "little") + LENGTH_BYTES
            if len(self._buffer) < size:
                return
            body = bytes(self._buffer[LENGTH_BYTES:size])
            del self._buffer[:size]
            yield body


class Inbox:
    """Whole messages out of a socket, without waiting unless asked to."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bodies = Bodies()

    def wait(self, seconds: float | None) -> bool:
        """Until something can be read, at most `seconds`."""
        ready, _, _ = select.select([self._connection], [], [], seconds)
        return bool(ready)

    def receive(self) -> Iterator[bytes]:
        """Read what is there and yield the whole messages. Raises EOFError when the other end is gone."""
        data = self._connection.recv(1 << 20)
        if not data:
            raise EOFError
        self._bodies.add(data)
        taken = len(data)
        with contextlib.suppress(BlockingIOError):  # a message of megabytes comes in pieces: not one of them a step
            while data and taken < _AT_ONCE_BYTES:
                data = self._connection.recv(1 << 20, socket.MSG_DONTWAIT)
                self._bodies.add(data)
                taken += len(data)
        yield from self._bodies.take()
