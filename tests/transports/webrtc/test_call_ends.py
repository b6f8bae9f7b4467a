"""Scope: WebRTC calls at their bounds: what is refused before it begins, what ends a call and what does not, and that
whoever takes part is told."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from protocol.encodings import BadMessage
from realtime.commands.serve import running
from realtime.config import Config
from realtime.transports.webrtc.wire import WebRtcWire
from tests.serving.asking import Reply, ask
from tests.serving.caller import SDP, Caller, caller, offer_of
from tests.serving.wire import LONG, PATIENCE_S, Service, eventually, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")
CALLS = "/v1/realtime/calls"
ROOM = 9
"""Sessions that the server takes."""


async def post(service: Service, offer: str) -> Reply:
    return await ask(service.address, "POST", CALLS, offer.encode(), SDP)


async def gone(service: Service, replies: list[Reply]) -> None:
    """Hang up on offers that were answered, and wait until nothing of them is left."""
    for reply in replies:
        await ask(service.address, "POST", f"{reply.headers['location']}/hangup")
    await eventually(lambda: udp_sockets() == 0, "all sockets are closed", 20.0)


def udp_sockets() -> int:
    return len(psutil.Process().net_connections("udp"))


@asynccontextmanager
async def beside(service: Service, call: Caller) -> AsyncIterator[ClientConnection]:
    """A sideband of a call."""
    url = f"ws://{service.address}/v1/realtime?call_id={call.path.rpartition('/')[2]}"
    async with connect(url, subprotocols=["realtime"], compression=None, max_size=None) as sideband:  # type: ignore[list-item]
        yield sideband


async def heard_by(sideband: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(await asyncio.wait_for(sideband.recv(), PATIENCE_S))
        if event["type"] == kind:
            return event


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
async def test_an_offer_that_takes_no_speech_is_refused_and_leaves_no_socket(resting: Service, direction: str) -> None:
    offer = (await offer_of(resting)).replace("a=recvonly", f"a={direction}")
    await eventually(lambda: udp_sockets() == 0, "the offer's own are closed")
    reply = await post(resting, offer)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "invalid_offer", "sdp")
    assert "sendonly or inactive" in reply.error["message"]
    assert udp_sockets() == 0


async def test_an_offer_whose_channel_takes_next_to_nothing_is_refused(resting: Service) -> None:
    offer = re.sub(r"a=max-message-size:\d+", "a=max-message-size:100", await offer_of(resting))
    reply = await post(resting, offer)
    assert (reply.status, reply.error["code"]) == (400, "invalid_offer")
    assert "raise a=max-message-size" in reply.error["message"]


async def test_answering_that_fails_on_the_way_leaves_no_socket(
    resting: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_libopus(encoding: str) -> Any:
        raise ImportError("libopus was not found")

    monkeypatch.setattr("realtime.transports.webrtc.call.packet_encoder", no_libopus)
    offer = await offer_of(resting)
    await eventually(lambda: udp_sockets() == 0, "the offer's own are closed")
    assert (await post(resting, offer)).status == 500
    await eventually(lambda: udp_sockets() == 0, "all sockets are closed")
    monkeypatch.undo()
    async with caller(resting) as call:
        assert call.path


async def test_offers_whose_last_byte_comes_late_get_no_more_places_than_there_are(resting: Service) -> None:
    offer, last_byte = (await offer_of(resting)).encode(), asyncio.Event()

    async def slow() -> int:
        host, _, port = resting.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {CALLS} HTTP/1.1\r\nHost: {resting.address}\r\nContent-Type: application/sdp\r\n"
        writer.write(f"{head}Content-Length: {len(offer)}\r\n\r\n".encode() + offer[:-1])
        await last_byte.wait()
        writer.write(offer[-1:])
        answered, located = await reader.readline(), b""
        while (line := await reader.readline()).strip():
            located = line.split()[1] if line.lower().startswith(b"location:") else located
        writer.close()
        if located:
            paths.append(located.decode())
        return int(answered.split()[1])

    paths: list[str] = []
    asked = [asyncio.create_task(slow()) for _ in range(2 * ROOM)]
    await asyncio.sleep(0.5)
    last_byte.set()
    statuses = await asyncio.gather(*asked)
    assert sorted(statuses) == [201] * ROOM + [503] * ROOM
    for path in paths:
        await ask(resting.address, "POST", f"{path}/hangup")
    await eventually(lambda: udp_sockets() == 0, "all sockets are closed", 20.0)


async def test_answered_offers_keep_their_places_from_everybody(resting: Service) -> None:
    offer = await offer_of(resting)
    replies = [await post(resting, offer) for _ in range(ROOM)]
    assert {reply.status for reply in replies} == {201}
    with pytest.raises(InvalidStatus) as refused:
        await connect(resting.url, subprotocols=["realtime"])  # type: ignore[list-item]
    assert refused.value.response.status_code == 503
    await gone(resting, replies)
    async with wire(resting) as socket:
        await socket.say("A ship.")


async def test_an_event_too_large_for_the_channel_is_told_instead_and_a_sideband_gets_it(resting: Service) -> None:
    calling = Caller(resting)
    try:
        offer = re.sub(r"a=max-message-size:\d+", "a=max-message-size:20000", await calling.offer())
        await calling.take(await post(resting, offer))
        await calling.until("conversation.created")
        async with beside(resting, calling) as sideband:
            await heard_by(sideband, "session.created")
            calling.send("conversation.item.create", item=message("é" * 19_000))
            error = (await calling.until("error"))[-1]["error"]
            assert error["code"] == "message_too_large"
            assert "takes 20000" in error["message"]
            added = await heard_by(sideband, "conversation.item.added")
            assert len(json.dumps(added)) > 20000
        calling.send("conversation.item.retrieve", item_id="none")
        async with asyncio.timeout(PATIENCE_S):  # first, what else there was to say of the item
            while (await calling.until("error"))[-1]["error"]["code"] == "message_too_large":
                pass
    finally:
        await calling.close()


async def test_many_large_events_arrive_one_after_the_other(resting: Service) -> None:
    async with caller(resting) as call:
        call.send("conversation.item.create", item=message("é" * 19_000))
        item = (await call.until("conversation.item.added"))[-1]["item"]["id"]
        for _ in range(60):
            call.send("conversation.item.retrieve", item_id=item)
        for _ in range(60):
            await call.until("conversation.item.retrieved")


async def test_a_sideband_may_send_much_at_once(resting: Service) -> None:
    async with caller(resting) as call, beside(resting, call) as sideband:
        for _ in range(600):
            await sideband.send(json.dumps({"type": "conversation.item.retrieve", "item_id": "none"}))
        for _ in range(600):
            await heard_by(sideband, "error")
        assert len(resting.gateway.sessions) == 1


async def test_so_many_sidebands_may_take_part_and_no_more(resting: Service) -> None:
    async with caller(resting) as call, AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(beside(resting, call))
        with pytest.raises(InvalidStatus) as refused:
            await stack.enter_async_context(beside(resting, call))
        assert refused.value.response.status_code == 503
        assert b"too_many_sidebands" in refused.value.response.body


async def test_a_session_that_breaks_tells_everybody_and_ends(
    resting: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async with caller(resting) as call, beside(resting, call) as sideband:
        await heard_by(sideband, "session.created")
        (session,) = resting.gateway.sessions

        def break_down(*_: Any) -> Any:
            raise RuntimeError("a wheel came off")

        session.session.receive = break_down  # type: ignore[method-assign]
        call.send("conversation.item.retrieve", item_id="none")
        assert (await call.until("error"))[-1]["error"]["code"] == "internal_error"
        assert (await heard_by(sideband, "error"))["error"]["code"] == "internal_error"
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(sideband.recv(), PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        async with asyncio.timeout(PATIENCE_S):
            while (await ask(resting.address, "POST", f"{call.path}/hangup")).status != 404:
                await asyncio.sleep(0.05)
    assert "a wheel came off" in caplog.text


async def test_a_call_that_is_over_cannot_be_joined(resting: Service) -> None:
    async with caller(resting) as call:
        assert (await ask(resting.address, "POST", f"{call.path}/hangup")).status == 200
        with pytest.raises(InvalidStatus) as refused:
            async with beside(resting, call):
                pass
        assert refused.value.response.status_code == 404


class Channel:
    """A peer as a wire sees it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed = False

    def send_message(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def close(self) -> None:
        self.closed = True


async def test_a_flood_is_hung_up_on_once_with_its_reason_and_nothing_of_it_is_served() -> None:
    wire, channel = WebRtcWire(), Channel()
    wire.attach(channel)  # type: ignore[arg-type]
    for _ in range(1000):
        wire.on_message("no event")
    assert [event["error"]["code"] for event in channel.sent] == ["too_many_events"]
    assert channel.closed
    assert [message async for message in wire.incoming()] == []


async def test_what_is_no_event_is_taken_as_such() -> None:
    wire = WebRtcWire()
    wire.on_message("no event")
    wire.on_message('{"type": "input_audio_buffer.clear"}')
    arrived = wire.incoming()
    assert isinstance(await anext(arrived), BadMessage)
    assert not isinstance(await anext(arrived), BadMessage)
    wire.end()
    assert [message async for message in arrived] == []


async def test_a_server_that_stops_does_not_wait_for_offers_and_cuts_calls_with_a_reason(tiny_checkpoint: Path) -> None:
    config = Config(port=0, model=str(tiny_checkpoint), device="cpu", threads=1, slots=2, drain_s=1.0)
    async with running(config) as (server, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        service = Service(gateway, url)
        assert (await post(service, await offer_of(service))).status == 201
        async with caller(service) as call:
            await call.start(LONG)
            await call.until("output_audio_buffer.started")
            stopping = time.monotonic()
            server.should_exit = True
            errors = [event["error"]["code"] for event in await call.until("error") if event["type"] == "error"]
            assert errors[-1] == "call_ended"
    assert time.monotonic() - stopping < 8
