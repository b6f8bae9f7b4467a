"""Scope: WebRTC calls end to end over loopback, aiortc's peer connection against the running server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from realtime.commands.serve import running
from realtime.config import Config
from tests.serving.asking import BOUNDARY, ask
from tests.serving.caller import HEARD_RATE, SDP, Caller, caller
from tests.serving.wire import LONG, RATE, Service, eventually, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")
CALLS = "/v1/realtime/calls"
PACKET_MS = 20


def parts(**content: tuple[str, str]) -> tuple[bytes, dict[str, str]]:
    """A form as browsers and OpenAI's libraries send it: parts by name with their type and no filename."""
    body = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n{text}\r\n'
        for name, (kind, text) in content.items()
    )
    return (body + f"--{BOUNDARY}--\r\n").encode(), {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def spoken_s(sound: np.ndarray) -> float:
    """Seconds that are not silent; a machine that is busy may have let it pause."""
    window = HEARD_RATE // 100
    windows = sound[: len(sound) // window * window].reshape(-1, window)
    return float(np.sum(np.abs(windows).max(1) > 0.002)) / 100


def rms_db(sound: np.ndarray) -> float:
    loud = sound[np.abs(sound) > 0.002]
    return float(10 * np.log10(np.mean(loud**2)))


async def test_a_caller_is_greeted_and_hears_what_the_engine_made(resting: Service) -> None:
    text = "A ship comes in."
    async with wire(resting) as socket:
        made = np.frombuffer((await socket.say(text)).pcm, "<i2").astype(np.float64) / 32768
    async with caller(resting) as call:
        response = await call.start(text)
        events = await call.until("output_audio_buffer.stopped")
        await asyncio.sleep(0.3)
        kinds = [event["type"] for event in events]
        assert "response.output_audio.delta" not in kinds
        started, done = kinds.index("output_audio_buffer.started"), kinds.index("response.done")
        assert started < done < len(kinds) - 1
        assert {e["response_id"] for e in events if e["type"].startswith("output_audio_buffer")} == {response}
        assert abs(spoken_s(call.sound) - len(made) / RATE) < 0.1
        assert abs(rms_db(call.sound) - rms_db(made)) < 4.0, "it is noise, of which Opus leaves some out"


async def test_a_form_sets_the_session_up(resting: Service) -> None:
    calling = Caller(resting)
    try:
        session = {"type": "realtime", "instructions": "Rain.", "audio": {"output": {"voice": "amy"}}}
        form = parts(sdp=("application/sdp", await calling.offer()), session=("application/json", json.dumps(session)))
        await calling.take(await ask(resting.address, "POST", CALLS, *form))
        shown = (await calling.next())["session"]
        assert (shown["instructions"], shown["audio"]["output"]["voice"]) == ("Rain.", "amy")
    finally:
        await calling.close()


async def test_a_clear_silences_within_a_packet_and_history_keeps_what_was_played(resting: Service) -> None:
    async with caller(resting) as call:
        response = await call.start(LONG)
        await call.until("output_audio_buffer.started")
        await asyncio.sleep(0.6)
        call.send("response.cancel")
        call.send("output_audio_buffer.clear")
        events = await call.until("conversation.item.truncated")
        kinds = [event["type"] for event in events]
        assert kinds.index("output_audio_buffer.cleared") < kinds.index("response.done")
        done = next(event["response"] for event in events if event["type"] == "response.done")
        assert (done["id"], done["status"]) == (response, "cancelled")
        await asyncio.sleep(0.5)
        before = len(call.sound)
        heard_ms = spoken_s(call.sound) * 1000
        assert abs(events[-1]["audio_end_ms"] - heard_ms) <= 2 * PACKET_MS + 10
        await asyncio.sleep(0.3)
        assert not np.any(np.abs(call.sound[before:]) > 0.002)
        item = events[-1]["item_id"]
        call.send("conversation.item.retrieve", item_id=item)
        kept = (await call.until("conversation.item.retrieved"))[-1]["item"]["content"][0]["transcript"]
        assert 0 < len(kept) < len(LONG)
        assert LONG.startswith(kept)


async def test_a_sideband_sees_the_call_and_takes_part(resting: Service) -> None:
    async with caller(resting) as call:
        url = f"ws://{resting.address}/v1/realtime?call_id={call.path.rpartition('/')[2]}"
        async with connect(url, subprotocols=["realtime"], compression=None) as sideband:
            created = json.loads(await sideband.recv())
            assert (created["type"], created["session"]["id"]) == ("session.created", call.seen[0]["session"]["id"])
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
            await sideband.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await sideband.send(json.dumps({"type": "response.create"}))
            seen: list[dict[str, Any]] = []
            while not seen or seen[-1]["type"] != "output_audio_buffer.stopped":
                seen.append(json.loads(await sideband.recv()))
            assert seen == await call.until("output_audio_buffer.stopped")
            await call.close()
            async with asyncio.timeout(20):
                await sideband.wait_closed()
            assert (sideband.close_code, sideband.close_reason) == (1000, "The call is over.")


async def test_a_sideband_of_no_call_is_refused(resting: Service) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{resting.address}/v1/realtime?call_id=rtc_no", subprotocols=["realtime"])
    assert refused.value.response.status_code == 404


async def test_hanging_up_ends_the_call_and_is_told(resting: Service) -> None:
    async with caller(resting) as call:
        await call.start(LONG)
        await call.until("output_audio_buffer.started")
        reply = await ask(resting.address, "POST", f"{call.path}/hangup")
        assert reply.status == 200
        await eventually(lambda: not resting.gateway.sessions, "the call is over")
        async with asyncio.timeout(5):  # the last words may still be on their way
            while (again := await ask(resting.address, "POST", f"{call.path}/hangup")).status == 200:
                await asyncio.sleep(0.05)
        assert (again.status, again.error["code"]) == (404, "call_not_found")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "param"),
    [
        (b"", SDP, 400, "invalid_offer", "sdp"),
        (b"\xff\xfe", SDP, 400, "invalid_value", "sdp"),
        (b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", SDP, 400, "invalid_offer", "sdp"),
        (b"v=0\r\n" + b"a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n" * 300, SDP, 400, "invalid_offer", "sdp"),
        (b"v=0\r\n" * 30000, SDP, 413, "request_too_large", None),
        (b"{}", {"Content-Type": "application/json"}, 415, "unsupported_media_type", None),
        (*parts(session=("application/json", "{}")), 400, "missing_required_parameter", "sdp"),
        (*parts(sdp=("application/sdp", "v=0"), other=("text/plain", "x")), 400, "unknown_parameter", "other"),
    ],
)
async def test_what_is_no_offer_is_refused_by_name(
    resting: Service, body: bytes, headers: dict[str, str], status: int, code: str, param: str | None
) -> None:
    reply = await ask(resting.address, "POST", CALLS, body, headers)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (status, code, param)


async def test_a_session_that_cannot_be_served_is_refused_before_anything_is_opened(resting: Service) -> None:
    calling = Caller(resting)
    try:
        session = json.dumps({"type": "realtime", "audio": {"output": {"voice": "ammy"}}})
        form = parts(sdp=("application/sdp", await calling.offer()), session=("application/json", session))
        reply = await ask(resting.address, "POST", CALLS, *form)
        assert (reply.status, reply.json["error"]["param"]) == (400, "session.audio.output.voice")
    finally:
        await calling.close()


async def test_a_caller_who_leaves_gives_everything_back(resting: Service) -> None:
    for _ in range(3):
        async with caller(resting) as call:
            await call.start(LONG)
            await call.until("output_audio_buffer.started")


async def test_a_server_that_stops_lets_calls_finish_their_sentence_while_connections_finish_theirs(
    tiny_checkpoint: Path,
) -> None:
    config = Config(port=0, model=str(tiny_checkpoint), device="cpu", threads=1, slots=2, drain_s=20.0)
    async with running(config) as (server, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        service = Service(gateway, url)
        async with caller(service) as call, wire(service) as socket:
            response = await call.start("A ship comes in.")
            await call.until("output_audio_buffer.started")
            await socket.start(LONG)
            await socket.until("response.output_audio.delta")
            server.should_exit = True
            ended = {event["type"] for event in await call.until("error")}
            assert "output_audio_buffer.stopped" in ended, f"{response} was heard to its end"
            assert len(gateway.sessions) == 1, "the connection is still being spoken to"
