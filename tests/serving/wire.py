"""Scope: a client of its own kind: stdlib json or the `msgpack` package over websockets, nothing of ours in it."""

import asyncio
import base64
import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect

from realtime.app import Application
from realtime.hearing.process import HearingProcess

RATE = 24000
PATIENCE_S = 30.0
LONG = "This is a long story about a harbour, a lighthouse and a ship that was late. " * 8


@dataclass
class Service:
    """A running server with its engine."""

    gateway: Application
    url: str

    @property
    def address(self) -> str:
        return self.url.removeprefix("ws://").partition("/")[0]


@dataclass
class Spoken:
    """One response as it came over the wire."""

    events: list[dict[str, Any]]

    @property
    def pcm(self) -> bytes:
        return b"".join(e["delta"] for e in self.events if e["type"] == "response.output_audio.delta")

    @property
    def samples(self) -> int:
        return len(self.pcm) // 2

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == "response.output_audio_transcript.delta"]

    @property
    def response(self) -> dict[str, Any]:
        done = [e for e in self.events if e["type"] == "response.done"]
        assert len(done) == 1
        response: dict[str, Any] = done[0]["response"]
        return response

    @property
    def item_id(self) -> str:
        return next(e["item"]["id"] for e in self.events if e["type"] == "response.output_item.added")

    @property
    def cached(self) -> int:
        return int(self.response["usage"]["input_token_details"]["cached_tokens"])


class Wire:
    """One connection."""

    def __init__(self, connection: ClientConnection, binary: bool) -> None:
        self.connection = connection
        self.binary = binary

    async def send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, **fields}
        if self.binary:
            await self.connection.send(msgpack.packb(event))
        else:
            await self.connection.send(json.dumps(event))

    def audio(self, pcm: bytes) -> Any:
        """PCM as this encoding carries it."""
        return pcm if self.binary else base64.b64encode(pcm).decode()

    async def next(self) -> dict[str, Any]:
        data = await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
        assert isinstance(data, bytes) == self.binary
        event: dict[str, Any] = msgpack.unpackb(data) if self.binary else json.loads(data)
        if event["type"] == "response.output_audio.delta" and not self.binary:
            event["delta"] = base64.b64decode(event["delta"], validate=True)
        return event

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Everything up to the `count`-th event of a kind."""
        events = []
        while count:
            events.append(await self.next())
            count -= events[-1]["type"] == kind
        return events

    async def ask(self, kind: str, answer: str, **fields: Any) -> dict[str, Any]:
        """Send one event, expect one answer."""
        await self.send(kind, **fields)
        event = await self.next()
        assert event["type"] == answer, event
        return event

    async def item(self, role: str, *content: Any, **fields: Any) -> dict[str, Any]:
        kind = "output_text" if role == "assistant" else "input_text"
        parts = [{"type": kind, "text": part} if isinstance(part, str) else part for part in content]
        item = {"type": "message", "role": role, "content": parts, **fields}
        await self.send("conversation.item.create", item=item)
        added = await self.until("conversation.item.done")
        return added[-1]["item"]  # type: ignore[no-any-return]

    async def start(self, text: str, **response: Any) -> str:
        """Ask for speech; returns the response's id."""
        await self.item("user", text)
        await self.send("response.create", **({"response": response} if response else {}))
        created = await self.next()
        assert created["type"] == "response.created", created
        assert (await self.next())["type"] == "rate_limits.updated"
        return str(created["response"]["id"])

    async def say(self, text: str, **voiced: Any) -> Spoken:
        """A whole response, as fast as it can be made and the same each time."""
        await self.start(text, voiced={"paced": False, "greedy": True, "seed": 1, **voiced})
        return Spoken(await self.until("response.done"))


@contextlib.asynccontextmanager
async def wire(service: Service, *, binary: bool = False, **options: Any) -> AsyncIterator[Wire]:
    """A connection whose session was greeted."""
    options.setdefault("subprotocols", ["voiced.msgpack"] if binary else ["realtime"])
    async with connect(service.url, compression=None, max_size=None, **options) as connection:
        opened = Wire(connection, binary)
        assert (await opened.next())["type"] == "session.created"
        assert (await opened.next())["type"] == "conversation.created"
        yield opened


def noise_clip(seed: int, seconds: float = 0.6) -> bytes:
    """Something to clone: two tones."""
    random = np.random.default_rng(seed)
    at = np.arange(int(seconds * RATE)) / RATE
    return (3000 * np.sin(2 * np.pi * random.uniform(100, 400, (2, 1)) * at).sum(0)).astype("<i2").tobytes()


@dataclass(frozen=True)
class Footprint:
    """What a process holds on to."""

    tasks: int
    descriptors: int
    children: frozenset[int]

    @classmethod
    def now(cls) -> "Footprint":
        return cls(
            len(asyncio.all_tasks()),
            len(os.listdir("/proc/self/fd")),
            frozenset(child.pid for child in psutil.Process().children(recursive=True)),
        )

    def within(self, before: "Footprint") -> bool:
        """Nothing is held beyond what was held before; what an earlier test still let go of then may be gone."""
        fewer = self.tasks <= before.tasks and self.descriptors <= before.descriptors
        return fewer and self.children == before.children


async def eventually(holds: Callable[[], bool], what: str, seconds: float = 5.0) -> float:
    """Wait until something holds; returns how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def idle(gateway: Application) -> bool:
    """No connection, no request, no slot, no page is in use."""
    gauges = gateway.engine.gauges
    held = (gauges.requests, gauges.slots, gauges.pages_held, gauges.contexts)
    return (
        not gateway.sessions
        and not gateway.sessions.promised
        and not len(gateway.engine._router)
        and held == (0, 0, 0, 0)
    )


async def listens(gateway: Application) -> None:
    """From here on there is the process that hears, as from a gateway's first listener on."""
    hearing = gateway.parts.hearing
    assert isinstance(hearing, HearingProcess)
    stream = hearing.open(lambda scores: None)
    await eventually(lambda: hearing.ready, "a process hears", 60.0)
    stream.close()


async def assert_back_to(before: Footprint, gateway: Application, seconds: float = 5.0) -> float:
    """Everything that a test used is given back."""

    def same() -> bool:
        return idle(gateway) and Footprint.now().within(before)

    try:
        return await eventually(same, "all given back", seconds)
    except AssertionError:
        tasks = [str(task.get_coro()) for task in asyncio.all_tasks()]
        sessions = gateway.sessions
        held = f"{gateway.engine.gauges}, {len(sessions)} sessions, {sessions.promised} places"
        raise AssertionError("\n".join([f"{held}, {before} -> {Footprint.now()}", *tasks])) from None


async def get(service: Service, path: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """HTTP status, JSON body and headers."""

    def fetch() -> tuple[int, dict[str, Any], dict[str, str]]:
        try:
            with urllib.request.urlopen(f"http://{service.address}{path}", timeout=10) as answer:
                return answer.status, json.loads(answer.read()), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read()), dict(error.headers)

    return await asyncio.to_thread(fetch)
