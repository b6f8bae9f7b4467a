"""Scope: `/tts/websocket`, Cartesia's protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.wires.asking import handshake
from tests.wires.served import Served
from tests.wires.shown import Json, joined
from tests.wires.talking import PATIENCE_S

_PATH = "/tts/websocket"
_PIECES = {"chunk": "data", "timestamps": "word_timestamps"}
_FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
_FIRST: Json = {
    "context_id": "one",
    "model_id": "sonic-2",
    "transcript": "Good morning.",
    "voice": {"mode": "id", "id": "ada"},
    "output_format": _FORMAT,
}
_REFUSED: list[Json] = [
    {"context_id": ""},
    {"context_id": 5},
    {"transcript": 5},
    {"transcript": "x" * 20_001},
    {"voice": {"mode": "embedding", "embedding": [1]}},
    {"voice": {"mode": "id", "id": "adda"}},
    {"voice": {"mode": "id", "id": "item:x"}},
    {"output_format": {**_FORMAT, "container": "mp3"}},
    {"output_format": {**_FORMAT, "encoding": "pcm_s8"}},
    {"output_format": {**_FORMAT, "sample_rate": 11025}},
    {"generation_config": {"speed": 9}},
    {"generation_config": {"volume": 2}},
    {"generation_config": {"emotion": "!"}},
    {"speed": "slowest"},
    {"max_buffer_delay_ms": -1},
    {"add_phoneme_timestamps": True},
    {"pronunciation_dict_id": "x"},
    {"language": 5},
    {"duration": 5},
    {"transcript": ""},
    {"transcript": "… !"},
]


async def contexts(served: Served) -> list[Json]:
    """A context with timestamps; one whose words come in pieces, with a flush; two with other settings."""
    async with _client(served) as one:
        await one.send(_FIRST, add_timestamps=True)
        await one.ended()
        await one.send(_FIRST, context_id="two", transcript="Yes, and ", **{"continue": True})
        await one.send(_FIRST, context_id="two", transcript="", flush=True, **{"continue": True})
        await one.until("flush_done")
        await one.send(_FIRST, context_id="two", transcript="no.", **{"continue": True})
        await one.send(_FIRST, context_id="two", transcript="", **{"continue": False})
        await one.ended()
        faster = {"speed": 1.2, "emotion": "Happy"}
        small = {**_FORMAT, "encoding": "pcm_mulaw", "sample_rate": 8000}
        await one.send(
            _FIRST, context_id="three", transcript="Yes.", output_format=small, generation_config=faster, language="en"
        )
        await one.ended()
        await one.send(_FIRST, context_id="four", transcript="No.", voice="otto", speed="fast", add_timestamps=True)
        await one.ended()
        return one.shown()


async def cancelled(served: Served) -> list[Json]:
    """A cancelled context is silent, and its name is free."""
    async with _client(served) as one:
        await one.send(_FIRST, transcript="Once upon a time there was ", **{"continue": True})
        await one.raw({"context_id": "one", "cancel": True})
        await one.raw({"context_id": "nobody", "cancel": True})
        await one.send(_FIRST, transcript="Yes.")
        await one.ended()
        return [event for event in one.shown() if event["type"] not in _PIECES]


async def refused(served: Served) -> list[Json]:
    """Everything that can be wrong with a message; a context ends with it, and what follows of it is refused."""
    async with _client(served) as one:
        for at, wrong in enumerate(_REFUSED):
            await one.send({**_FIRST, "context_id": f"number {at}"}, **wrong)
            await one.ended()
        for text in ("", "{", "[]", "5", "{}", '{"context_id": "mine"}', '{"context_id": "mine", "cancel": false}'):
            await one.connection.send(text)
            await one.ended()
        await one.connection.send('{"context_id": "' + "x" * (256 * 1024) + '"}')
        await one.ended()
        await one.send(_FIRST, context_id="mine", transcript="…", **{"continue": True})
        await one.send(_FIRST, context_id="mine", voice="otto")
        await one.ended()
        await one.send(_FIRST, context_id="mine", **{"continue": True})
        await one.ended()
        return [event for event in one.shown() if event["type"] not in _PIECES]


async def handshakes(served: Served) -> Json:
    """The key may come in the query; without one nobody gets in."""
    refused = {
        "no key": await handshake(served.address, _PATH),
        "a wrong key": await handshake(served.address, f"{_PATH}?api_key=sk-wrong"),
        "as a page": await handshake(served.address, _PATH, {"Origin": "https://elsewhere.example"}, key=served.key),
    }
    found: Json = {name: reply.shown() for name, reply in refused.items()}
    query = f"?api_key={served.key}&cartesia_version=2025-04-16"
    async with connect(f"ws://{served.address}{_PATH}{query}", open_timeout=PATIENCE_S) as connection:
        found["key in the query"] = connection.response.status_code if connection.response else None
    return found


class _Client:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.told: list[Json] = []

    async def send(self, first: Json, **more: Any) -> None:
        await self.raw({**first, **more})

    async def raw(self, message: Json) -> None:
        await self.connection.send(json.dumps(message))

    async def next(self) -> Json:
        event = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE_S))
        self.told.append(event)
        return dict(event)

    async def until(self, kind: str) -> None:
        while (await self.next())["type"] != kind:
            pass

    async def ended(self) -> None:
        """Take in what comes until a context is done or has failed."""
        while (await self.next())["type"] not in ("done", "error"):
            pass

    def shown(self) -> list[Json]:
        """What was told, each context by itself."""
        events = joined(self.told, ("context_id", "flush_id"), _PIECES)
        order: dict[Any, int] = {}
        for event in events:
            order.setdefault(event["context_id"], len(order))
        return [_shown(event) for event in sorted(events, key=lambda event: order[event["context_id"]])]


def _shown(event: Json) -> Json:
    """An answer as it is recorded. Nobody can ask for a seed here: how long it speaks is left to chance."""
    if event["type"] == "chunk":
        return {**event, "data": {"some": any(base64.b64decode(one) for one in event["data"])}}
    if event["type"] == "timestamps":  # when a word is said is told by what was known of its clause by then
        times = event["word_timestamps"]
        words = [word for one in times for word in one["words"]]
        return {**event, "word_timestamps": {"words": words, "fields": sorted({key for one in times for key in one})}}
    return event


@contextlib.asynccontextmanager
async def _client(served: Served) -> AsyncIterator[_Client]:
    headers = {"X-API-Key": served.key}
    url = f"ws://{served.address}{_PATH}"
    with contextlib.suppress(ConnectionClosed):
        async with connect(url, additional_headers=headers, open_timeout=PATIENCE_S, max_size=None) as connection:
            yield _Client(connection)
