"""Scope: somebody who calls by WebRTC: aiortc's own peer connection, and the events it gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

from tests.wires.asking import Reply, ask
from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.talking import PATIENCE_S

SDP = {"Content-Type": "application/sdp"}
_CHANCE = [
    (r"^o=- \d+ \d+", "o=- (a number) (a number)"),
    (r"^a=(ice-ufrag|ice-pwd|fingerprint:sha-256|msid|msid-semantic|ssrc)[: ].*", r"a=\1 …"),
    (r"^m=(\w+) \d+", r"m=\1 (a port)"),
    (r"^c=IN IP[46] .*", "c=(an address)"),
    (r"^a=rtcp:\d+.*", "a=rtcp:(a port)"),
    (r"^a=candidate:.* typ (\w+).*", r"a=candidate:… typ \1"),
]


class Caller:
    """One caller. `told` is every event that came on its data channel."""

    def __init__(self, served: Served, microphone: MediaStreamTrack | None = None) -> None:
        self._served = served
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if microphone is None:
            self.connection.addTransceiver("audio", direction="recvonly")
        else:
            self.connection.addTrack(microphone)
        self._channel = self.connection.createDataChannel("oai-events")
        self._events: asyncio.Queue[Json | None] = asyncio.Queue()
        self._channel.on("message", lambda text: self._events.put_nowait(json.loads(text)))
        self._channel.on("close", lambda: self._events.put_nowait(None))
        self._sink = MediaBlackhole()
        self.connection.on("track", self._sink.addTrack)
        self.told: list[Json] = []
        self.path = ""

    async def call(self, session: Json | None = None) -> Reply:
        """Offer and connect; returns when the session has greeted."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp = self.connection.localDescription.sdp
        path = "/v1/realtime/calls"
        answer = await ask(self._served.address, "POST", path, sdp.encode(), SDP, key=self._served.key)
        assert answer.status == 201, answer.body
        self.path = answer.headers["location"]
        await self.connection.setRemoteDescription(RTCSessionDescription(answer.body.decode(), "answer"))
        await self._sink.start()
        await self.until("conversation.created")
        if session is not None:
            self.send("session.update", session=session)
            await self.until("session.updated")
        return answer

    def send(self, kind: str, **fields: Any) -> None:
        """An event."""
        self._channel.send(json.dumps({"type": kind, **fields}))

    async def until(self, *kinds: str) -> Json:
        """Take events in until each of these kinds has come once more; returns the last."""
        wanted = list(kinds)
        while wanted:
            event = await asyncio.wait_for(self._events.get(), PATIENCE_S)
            assert event is not None, "the channel closed"
            self.told.append(event)
            if event["type"] in wanted:
                wanted.remove(event["type"])
        return self.told[-1]

    async def over(self) -> None:
        """Take events in until the server closes the channel."""
        while (event := await asyncio.wait_for(self._events.get(), PATIENCE_S)) is not None:
            self.told.append(event)

    async def close(self) -> None:
        """Hang up."""
        await self.connection.close()
        await self._sink.stop()


@contextlib.asynccontextmanager
async def caller(served: Served, session: Json | None = None) -> AsyncIterator[Caller]:
    """A caller who has called, and has changed the session if asked to; leaving, it hangs up."""
    calling = Caller(served)
    try:
        await calling.call(session)
        yield calling
    finally:
        await calling.close()


def sdp_shown(answer: str) -> list[str]:
    """An answer's lines without what is drawn anew for each; of candidates, which kinds there are."""
    assert answer.endswith("\r\n")
    lines = []
    for line in answer.split("\r\n")[:-1]:
        for pattern, replacement in _CHANCE:
            line = re.sub(pattern, replacement, line)
        if not (line.startswith("a=candidate") and line in lines):
            lines.append(line)
    return lines
