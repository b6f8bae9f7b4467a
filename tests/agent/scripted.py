"""A chat endpoint in the test's own process that answers by script: every request takes the next act."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def chunk(content: Any = None, finish: str | None = None, **delta: Any) -> bytes:
    """One event of a streamed completion."""
    said = delta if content is None else {"content": content, **delta}
    body = {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": said, "finish_reason": finish}],
    }
    return f"data: {json.dumps(body)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def said(*words: str, finish: str = "stop") -> Act:
    """Say these words, each in an event of its own."""
    return raw(HEAD, *map(chunk, words), chunk(finish=finish), DONE)


def raw(*pieces: bytes, then: float = 0.0) -> Act:
    """Send these bytes, wait, and hang up."""

    async def act(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await asyncio.sleep(then)

    return act


def status(code: int, body: str = '{"error": {"message": "No."}}') -> Act:
    """Refuse the request."""
    head = f"HTTP/1.1 {code} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return raw(f"{head}{body}".encode())


@dataclass
class Scripted:
    """What was asked, and what is answered next; when the script is over, the last act is repeated."""

    acts: list[Act]
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    left: int = 0
    """Requests whose client hung up before the act was over."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")
            )
            self.heads.append(head)
            self.asked.append(json.loads(await reader.readexactly(length)))
            act = asyncio.ensure_future(self.acts[min(len(self.asked), len(self.acts)) - 1](writer))
            gone = asyncio.ensure_future(reader.read())
            await asyncio.wait({act, gone}, return_when=asyncio.FIRST_COMPLETED)
            self.left += not act.done()
            for task in (act, gone):
                task.cancel()
            await asyncio.gather(act, gone, return_exceptions=True)
        writer.close()


@contextlib.asynccontextmanager
async def scripted(*acts: Act) -> AsyncIterator[Scripted]:
    """Serve a script on a port of its own."""
    script = Scripted(list(acts))
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield script
    finally:
        server.close()
        await server.wait_closed()
