"""A relay between clients and a server that writes down both directions: what really was on the wire, byte for byte.

It changes nothing (handshakes, closes and half-closes pass through). With a certificate it takes TLS off, as a proxy in
front of a server would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

Json = dict[str, Any]


@dataclass
class Connection:
    """One connection: what its client sent, what the server did."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)

    @property
    def path(self) -> str:
        """The path of its (first) request."""
        return self.sent.split(b" ", 2)[1].decode() if self.sent.count(b" ") >= 2 else ""

    @property
    def websocket(self) -> bool:
        """It was upgraded."""
        return self.received.startswith(b"HTTP/1.1 101 ")

    def client_events(self) -> list[Json]:
        """What the client said on its WebSocket."""
        return list(_events(self.sent, masked=True)) if self.websocket else []

    def server_events(self) -> list[Json]:
        """What it was told on its WebSocket."""
        return list(_events(self.received, masked=False)) if self.websocket else []


@dataclass
class Recorder:
    """A running relay; `connections` in the order they were opened."""

    port: int
    secure: bool
    connections: list[Connection] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What a client is given in place of the server's address."""
        return f"http{'s' if self.secure else ''}://127.0.0.1:{self.port}"

    def on(self, path: str) -> list[Connection]:
        """The WebSockets that were opened at a path."""
        return [one for one in self.connections if one.websocket and one.path.partition("?")[0] == path]

    def client_events(self, path: str = "/v1/realtime") -> list[Json]:
        """What clients said at a path, one connection after the other."""
        return [event for one in self.on(path) for event in one.client_events()]

    def server_events(self, path: str = "/v1/realtime") -> list[Json]:
        """What they were told."""
        return [event for one in self.on(path) for event in one.server_events()]


@contextlib.asynccontextmanager
async def recording(server_port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Recorder]:
    """A relay to 127.0.0.1:`server_port`. Leaving it drops the connections that are still open."""
    tasks: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connection = Connection()
        recorder.connections.append(connection)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", server_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, there_writer, connection.sent))
                both.create_task(_pump(there_reader, writer, connection.received))
        except* OSError:
            pass
        finally:
            tasks.discard(task)
            for end in (writer, there_writer):
                end.close()

    listener = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=tls)
    recorder = Recorder(listener.sockets[0].getsockname()[1], tls is not None)
    try:
        yield recorder
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, log: bytearray) -> None:
    while data := await source.read(1 << 16):
        log += data
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
    else:  # TLS cannot be half closed
        sink.close()


def _events(data: bytes | bytearray, *, masked: bool) -> Iterator[Json]:
    """The JSON messages of one direction of a WebSocket."""
    reader = StreamReader()
    reader.feed_data(data[data.index(b"\r\n\r\n") + 4 :])
    reader.feed_eof()
    message = b""
    while True:
        parsing = Frame.parse(reader.read_exact, mask=masked, max_size=None)
        try:
            next(parsing)
        except StopIteration as parsed:
            frame: Frame = parsed.value
        except EOFError:
            return
        else:  # pragma: no cover - the reader has been given everything
            raise AssertionError("the parser waits for bytes that cannot come")
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            message += bytes(frame.data)
            if frame.fin:
                yield json.loads(message)
                message = b""
