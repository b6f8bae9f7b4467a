"""Scope: somebody who calls by WebRTC: aiortc's own peer connection, the events it gets and what it hears."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from tests.serving.asking import Reply, ask
from tests.serving.wire import PATIENCE_S, Service

HEARD_RATE = 48000
SDP = {"Content-Type": "application/sdp"}


class Caller:
    """One caller. `microphone` is what it says; without, it listens."""

    def __init__(self, service: Service, microphone: MediaStreamTrack | None = None) -> None:
        self._service = service
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if microphone is None:
            self.connection.addTransceiver("audio", direction="recvonly")
        else:
            self.connection.addTrack(microphone)
        self._channel = self.connection.createDataChannel("oai-events")
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._channel.on("message", lambda text: self._events.put_nowait(json.loads(text)))
        self.connection.on("track", self._listen)
        self.heard: list[np.ndarray] = []
        self.seen: list[dict[str, Any]] = []
        self._listening: asyncio.Task[None] | None = None
        self.path = ""

    def _listen(self, track: MediaStreamTrack) -> None:
        async def listen() -> None:
            with contextlib.suppress(MediaStreamError):
                while True:
                    frame: Any = await track.recv()
                    self.heard.append(frame.to_ndarray().reshape(-1, 2)[:, 0].copy())

        self._listening = asyncio.create_task(listen())

    async def offer(self) -> str:
        """Its offer, with its candidates."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def take(self, reply: Reply) -> None:
        """Connect with the answer to its offer."""
        assert reply.status == 201, reply.body
        assert reply.headers["content-type"] == "application/sdp"
        self.path = reply.headers["location"]
        await self.connection.setRemoteDescription(RTCSessionDescription(reply.body.decode(), "answer"))

    async def call(self, **headers: str) -> None:
        """Offer and connect; returns when the session has greeted."""
        body = (await self.offer()).encode()
        await self.take(await ask(self._service.address, "POST", "/v1/realtime/calls", body, {**SDP, **headers}))
        assert (await self.next())["type"] == "session.created"
        assert (await self.next())["type"] == "conversation.created"

    def send(self, kind: str, **fields: Any) -> None:
        self._channel.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        event = await asyncio.wait_for(self._events.get(), PATIENCE_S)
        self.seen.append(event)
        return event

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """Everything up to the next event of a kind."""
        events = [await self.next()]
        while events[-1]["type"] != kind:
            events.append(await self.next())
        return events

    async def start(self, text: str, **response: Any) -> str:
        """Ask for speech; returns the response's id."""
        self.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
        )
        self.send("response.create", response={"voiced": {"greedy": True, "seed": 1}, **response})
        created = (await self.until("response.created"))[-1]
        return str(created["response"]["id"])

    @property
    def sound(self) -> np.ndarray:
        """What was heard so far, mono at 48 kHz, -1 to 1."""
        return np.concatenate(self.heard).astype(np.float64) / 32768 if self.heard else np.zeros(0)

    async def close(self) -> None:
        await self.connection.close()
        if self._listening is not None:
            await self._listening


async def offer_of(service: Service) -> str:
    """An offer whose sockets are closed: nobody connects with it."""
    calling = Caller(service)
    try:
        return await calling.offer()
    finally:
        await calling.close()


@contextlib.asynccontextmanager
async def caller(service: Service, microphone: MediaStreamTrack | None = None) -> AsyncIterator[Caller]:
    """A caller who has called; leaving, it hangs up."""
    calling = Caller(service, microphone)
    try:
        await calling.call()
        yield calling
    finally:
        await calling.close()
