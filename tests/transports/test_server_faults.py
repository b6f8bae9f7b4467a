"""Scope: clients that die or stop reading, an engine that is killed, a server told to stop: over real sockets."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from realtime.commands.serve import running
from realtime.config import Config
from realtime.http import http_connection as http_link
from tests.serving.wire import LONG, RATE, Footprint, Service, Wire, assert_back_to, eventually, get, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


class RawClient:
    """A client on a bare socket with little room to receive: it reads only when told to."""

    def __init__(self, service: Service) -> None:
        host, port = service.address.split(":")
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect((host, int(port)))
        self.protocol = ClientProtocol(parse_uri(service.url), max_size=None)
        self.protocol.send_request(self.protocol.connect())
        self.flush()
        while self.protocol.state is State.CONNECTING:
            self.read()

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.socket.sendall(data)

    def send(self, **event: Any) -> None:
        self.protocol.send_text(json.dumps(event).encode())
        self.flush()

    def read(self) -> list[dict[str, Any]]:
        """Whole events of one read; pings are answered. Raises EOFError at the end."""
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self.protocol.receive_data(data)
        self.flush()
        frames = [frame for frame in self.protocol.events_received() if getattr(frame, "opcode", None) is Opcode.TEXT]
        return [json.loads(frame.data) for frame in frames]  # type: ignore[union-attr]

    def read_until(self, kind: str) -> None:
        deadline = time.monotonic() + 20
        while not any(event["type"] == kind for event in self.read()):
            assert time.monotonic() < deadline, f"no {kind}"


def _speaking(service: Service, text: str) -> RawClient:
    client = RawClient(service)
    client.send(
        type="conversation.item.create",
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
    )
    client.send(type="response.create")
    client.read_until("response.output_audio.delta")
    return client


async def test_a_client_that_is_killed_while_it_listens_leaves_nothing_behind(resting: Service) -> None:
    client = await asyncio.to_thread(_speaking, resting, LONG)
    assert len(resting.gateway.sessions) == 1
    assert resting.gateway.engine.gauges.slots == 1
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()  # a reset, as when the process is killed
    await eventually(lambda: not resting.gateway.sessions and resting.gateway.engine.gauges.slots == 0, "let go", 2.0)


async def test_a_client_that_hangs_up_without_a_word_leaves_nothing_behind(resting: Service) -> None:
    client = await asyncio.to_thread(_speaking, resting, LONG)
    client.socket.close()
    await eventually(lambda: not resting.gateway.sessions and resting.gateway.engine.gauges.slots == 0, "let go", 2.0)


async def test_a_reader_that_stops_is_dropped_with_little_speech_buried_and_others_go_on(resting: Service) -> None:
    async with wire(resting, binary=True) as other:
        client = await asyncio.to_thread(_speaking, resting, LONG * 3)
        stopped_at = time.monotonic()
        spoken = asyncio.create_task(other.say("Somebody else speaks meanwhile, at some length, undisturbed."))
        await eventually(lambda: len(resting.gateway.sessions) == 1, "dropped", 8.0)
        took = time.monotonic() - stopped_at
        assert took <= 6.5, f"dropped after {took:.1f} s"
        await eventually(lambda: resting.gateway.engine.gauges.slots <= 1, "its slot is free", 2.0)
        assert (await spoken).response["status"] != "failed"

    def rest() -> float:
        buried = 0
        with contextlib.suppress(EOFError, OSError):
            while True:
                for event in client.read():
                    if event["type"] == "response.output_audio.delta":
                        buried += len(base64.b64decode(event["delta"])) // 2
        client.socket.close()
        return buried / RATE

    assert await asyncio.to_thread(rest) <= 4.0


async def test_slow_handshakes_do_not_keep_others_out(resting: Service) -> None:
    host, port = resting.address.split(":")
    half_open = [socket.create_connection((host, int(port))) for _ in range(20)]
    for connection in half_open:
        connection.sendall(b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n")
    async with wire(resting) as talk:
        assert (await talk.say("Good evening.")).samples > 0
    for connection in half_open:
        connection.close()


async def test_a_connection_that_asks_for_nothing_is_closed_and_one_that_became_a_session_is_not(
    resting: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_link, "_HEAD_DEADLINE_S", 0.3)
    host, port = resting.address.split(":")
    async with wire(resting) as talk:
        for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(begun)
            assert await asyncio.wait_for(reader.read(), 5.0) == b""
            writer.close()
        await asyncio.sleep(0.4)
        assert (await talk.say("Good evening.")).samples > 0


async def test_a_client_that_keeps_cancelling_leaves_nothing_behind(resting: Service) -> None:
    async with wire(resting, binary=True) as talk:
        for index in range(20):
            await talk.start(LONG)
            if index % 3:
                await talk.until("response.output_audio.delta", index % 3)
            await talk.send("response.cancel")
            events = await talk.until("response.done")
            assert events[-1]["response"]["status"] == "cancelled"
        assert (await talk.say("Good evening.")).samples > 0


@pytest.mark.parametrize(("sent", "within_s"), [(signal.SIGKILL, 2.0), (signal.SIGSTOP, 6.0)])
async def test_an_engine_that_dies_or_hangs_ends_the_response_and_comes_back_for_the_same_session(
    server_config: Config, sent: signal.Signals, within_s: float
) -> None:
    before = Footprint.now()
    async with running(server_config) as (_, gateway, url):
        service = Service(gateway, url)
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        async with wire(service, binary=True) as talk:
            await talk.start(LONG)
            await talk.until("response.output_audio.delta")
            victim = gateway.engine.pid
            assert victim is not None
            os.kill(victim, sent)
            sent_at = time.monotonic()
            events = await talk.until("response.done")
            assert time.monotonic() - sent_at < within_s
            done = events[-1]["response"]
            assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "engine_failed")
            assert (await get(service, "/readyz"))[0] == 503
            assert (await get(service, "/healthz"))[0] == 200

            meanwhile = await talk.say("Is anybody there?")
            assert meanwhile.response["status_details"]["error"]["code"] == "overloaded"

            await asyncio.wait_for(gateway.engine.wait_ready(), 60)
            assert (await get(service, "/readyz"))[1]["restarts"] == 1
            assert gateway.engine.pid != victim
            again = await talk.say("Good evening.")
            assert again.samples > 0
            assert again.response["status"] != "failed"
    await assert_back_to(before, gateway)


GOES_ON = "A sentence that is being spoken, and goes on and on, and will not be heard to its end. " * 8


class Serving:
    """`voiced serve` as a process of its own."""

    def __init__(self, config: Config, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {**os.environ, "VOICED_MODEL": config.model, "VOICED_THREADS": "1", **settings}
        command = [sys.executable, "-m", "realtime.commands.cli", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.url = f"ws://127.0.0.1:{self.port}/v1/realtime"
        self.said: list[str] = []

    def wait_ready(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if "noise" in line.lower() and "checkpoint" in line.lower() and "ready" not in line and "NOISE" in line:
                return
        raise AssertionError("".join(self.said))

    def end(self, seconds: float) -> int:
        return self.process.wait(seconds)


@contextlib.asynccontextmanager
async def served(config: Config, **settings: str) -> AsyncIterator[tuple[Serving, Wire]]:
    """A server that is ready, and a client of it; gone afterwards, whatever became of it."""
    serving = await asyncio.to_thread(Serving, config, **settings)
    try:
        await asyncio.wait_for(asyncio.to_thread(serving.wait_ready), 60)
        async with wire(Service(None, serving.url), binary=True) as talk:  # type: ignore[arg-type]
            yield serving, talk
    finally:
        serving.process.kill()
        serving.process.wait()
        assert serving.process.stderr is not None
        serving.process.stderr.close()


async def _close_code(talk: Wire) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            await talk.next()
    return closed.value.rcvd.code if closed.value.rcvd is not None else None


@pytest.mark.parametrize("busy", [True, False])
async def test_a_server_told_to_stop_lets_the_sentence_finish_and_closes_with_1012(
    server_config: Config, busy: bool
) -> None:
    async with served(server_config) as (serving, talk):
        if busy:
            await talk.start("A sentence that is being spoken.")
            events = await talk.until("response.output_audio.delta")
        serving.process.send_signal(signal.SIGTERM)
        if busy:
            events += await talk.until("response.done")
            assert events[-1]["response"]["status"] in ("completed", "incomplete")
            samples = sum(len(e["delta"]) // 2 for e in events if e["type"] == "response.output_audio.delta")
            assert samples == events[-1]["response"]["usage"]["output_tokens"] * 960
        assert await _close_code(talk) == 1012
        assert await asyncio.to_thread(serving.end, 15) == 0


async def test_a_server_told_to_stop_twice_cuts_the_sentence_and_says_so(server_config: Config) -> None:
    async with served(server_config) as (serving, talk):
        await talk.start(GOES_ON)
        await talk.until("response.output_audio.delta")
        serving.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        serving.process.send_signal(signal.SIGINT)
        done = (await talk.until("response.done"))[-1]["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "session_ended")
        assert await _close_code(talk) == 1012
        assert await asyncio.to_thread(serving.end, 15) == 0
        assert serving.process.stderr is not None
        said = "".join(serving.process.stderr)
        assert "finishing what is being said (sessions: 1), up to 30 s; stop it again and it does not wait" in said
        assert "Traceback" not in said


async def test_a_server_whose_patience_ends_cuts_the_sentence_and_says_so(server_config: Config) -> None:
    async with served(server_config, VOICED_DRAIN_S="0.5") as (serving, talk):
        await talk.start(GOES_ON)
        await talk.until("response.output_audio.delta")
        serving.process.send_signal(signal.SIGTERM)
        assert (await talk.until("response.done"))[-1]["response"]["status"] == "cancelled"
        assert await _close_code(talk) == 1012
        assert await asyncio.to_thread(serving.end, 15) == 0
