"""Scope: bounds of a key and shares of the engine's voices, as clients meet them on a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from realtime.commands.serve import running
from realtime.config import Config
from realtime.engine.client import Sink
from realtime.engine.messages import Audio, EngineInfo
from realtime.parts import Parts
from realtime.request import Ended, Speak
from tests.parts.test_third_parties import Beeper

GREEDY, MODEST = "the-greedy-clients-key", "the-modest-clients-key"
PATIENCE_S = 20.0


class Full(Beeper):
    """An engine of two voices, which speaks each request until it is cancelled and refuses a third."""

    def __init__(self) -> None:
        super().__init__()
        told: Any = {name: getattr(self.info, name) for name in EngineInfo.__struct_fields__}
        self.info = EngineInfo(**{**told, "max_slots": 2})
        self.running: dict[str, Sink] = {}

    def submit(self, request: Speak, sink: Sink) -> None:
        if len(self.running) == 2:
            sink(Ended(request.request_id, "overloaded", error="All voices are taken."))
            return
        self.running[request.request_id] = sink
        sink(Audio(request.request_id, 0, bytes(4800)))

    def cancel(self, request_id: str) -> None:
        if (sink := self.running.pop(request_id, None)) is not None:
            sink(Ended(request_id, "cancelled"))


class Client:
    """One connection, asked for responses beside the conversation."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket

    async def until(self, *kinds: str) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = json.loads(await asyncio.wait_for(self._socket.recv(), PATIENCE_S))
            if event["type"] in kinds:
                return event

    async def send(self, **event: Any) -> None:
        await self._socket.send(json.dumps(event))

    async def ask(self) -> dict[str, Any]:
        """Have something said; the first audio, or how it was refused."""
        given = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
        await self.send(type="response.create", response={"conversation": "none", "input": [given]})
        return await self.until("response.output_audio.delta", "response.done", "error")


def connected(url: str, key: str) -> websockets.connect:
    return websockets.connect(url, additional_headers={"Authorization": f"Bearer {key}"})


async def test_who_holds_its_share_begins_nothing_more_while_another_key_waits() -> None:
    engine = Full()
    config = Config(port=0, api_keys=[GREEDY, MODEST])
    async with (
        running(config, Parts(engine=engine)) as (_, _, url),
        connected(url, GREEDY) as first,
        connected(url, GREEDY) as second,
        connected(url, MODEST) as other,
    ):
        greedy, greedy_too, modest = Client(first), Client(second), Client(other)
        spoken = await greedy.ask()
        assert spoken["type"] == "response.output_audio.delta"
        assert (await greedy_too.ask())["type"] == "response.output_audio.delta"
        refused = await modest.ask()
        assert refused["response"]["status_details"]["error"]["code"] == "overloaded"
        await greedy.send(type="response.cancel", response_id=spoken["response_id"])
        await greedy.until("response.done")
        shared_out = (await greedy.ask())["response"]["status_details"]["error"]
        assert (shared_out["code"], "holds its share" in shared_out["message"]) == ("overloaded", True)
        assert (await modest.ask())["type"] == "response.output_audio.delta", "it is the turn of the one that waited"


async def test_a_key_has_no_more_sessions_and_responses_than_its_bounds_and_gets_them_back() -> None:
    config = Config(port=0, api_keys=[GREEDY, MODEST], key_sessions=1, key_responses=1)
    async with running(config, Parts(engine=Full())) as (_, _, url):
        async with connected(url, GREEDY) as socket:
            with pytest.raises(websockets.InvalidStatus) as denied:
                await connected(url, GREEDY)
            assert denied.value.response.status_code == 429
            assert json.loads(denied.value.response.body)["error"]["code"] == "rate_limit_exceeded"
            async with connected(url, MODEST) as other:
                assert (await Client(other).ask())["type"] == "response.output_audio.delta"
            client = Client(socket)
            spoken = await client.ask()
            assert (await client.ask())["error"]["code"] == "rate_limit_exceeded"
            await client.send(type="response.cancel", response_id=spoken["response_id"])
            await client.until("response.done")
            assert (await client.ask())["type"] == "response.output_audio.delta"
        async with connected(url, GREEDY) as again:
            assert (await Client(again).until("session.created"))["session"]["id"]


async def test_the_days_speech_of_a_key_is_counted_over_its_sessions() -> None:
    config = Config(port=0, api_keys=[GREEDY], key_speech_s=0.15)  # one answer of the beeper lasts 0.1 s
    async with running(config, Parts(engine=Beeper())) as (_, _, url):
        for said in ("response.output_audio.delta", "response.output_audio.delta", "error"):
            async with connected(url, GREEDY) as socket:
                assert (await Client(socket).ask())["type"] == said
