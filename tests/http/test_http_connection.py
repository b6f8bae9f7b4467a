"""Scope: the HTTP connection itself: how long a peer is waited for, and that answers reach whoever is still sending."""

import asyncio
import http.client
import json

import pytest

from realtime.http import http_connection
from tests.serving.wire import Service, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MEGABYTE = 1_000_000


async def _connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = service.address.split(":")
    return await asyncio.open_connection(host, int(port))


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-"], ids=["nothing", "half a head"])
async def test_a_connection_that_was_used_is_closed_like_a_new_one_when_it_asks_for_nothing_more(
    resting: Service, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(http_connection, "_HEAD_DEADLINE_S", 0.5)
    reader, writer = await _connect(resting)
    for _ in range(2):
        writer.write(ASKED)
        assert (await _answer(reader))[0] == 200
    writer.write(begun)
    assert await asyncio.wait_for(reader.read(), 3.0) == b""
    writer.close()


async def test_a_head_that_trickles_in_has_no_longer(resting: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "_HEAD_DEADLINE_S", 0.5)
    reader, writer = await _connect(resting)
    writer.write(ASKED)
    await _answer(reader)
    closed = asyncio.create_task(reader.read())
    for byte in ASKED:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
        if closed.done():
            break
    assert closed.done()
    writer.close()


@pytest.mark.parametrize("kept", [b"", b"Connection: close\r\n"], ids=["kept alive", "last request"])
@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"POST /v1/audio/speech", 413),
        (b"POST /v1/realtime/client_secrets", 413),
        (b"POST /v1/realtime/calls", 413),
        (b"GET /v1/models", 413),
        (b"POST /v1/nothing", 404),
        (b"POST /v1/models", 405),
        (b"nonsense", 400),
    ],
)
async def test_a_refusal_reaches_a_client_that_sends_all_of_a_large_body_first(
    resting: Service, request_line: bytes, status: int, kept: bytes
) -> None:
    reader, writer = await _connect(resting)
    head = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % MEGABYTE
    writer.write(request_line + head + kept + b"\r\n")
    for _ in range(10):
        writer.write(b"x" * (MEGABYTE // 10))
        await writer.drain()
        await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        assert (await reader.readline()).split()[1] == str(status).encode()
        if kept or status in (400, 413):
            await reader.read()  # to the end, without a reset
    writer.close()


async def test_a_stock_client_reads_why_its_megabyte_is_refused(resting: Service) -> None:
    def ask() -> tuple[int, str]:
        connection = http.client.HTTPConnection(resting.address, timeout=10)
        connection.request("POST", "/v1/audio/speech", b"x" * MEGABYTE, {"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["error"]["code"]

    assert await asyncio.to_thread(ask) == (413, "request_too_large")


async def test_after_a_body_that_was_not_wanted_the_connection_serves_the_next_request(resting: Service) -> None:
    reader, writer = await _connect(resting)
    writer.write(b"POST /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n1234")
    assert (await _answer(reader))[0] == 404
    writer.write(b"56789" + ASKED)
    assert (await asyncio.wait_for(_answer(reader), 5))[0] == 200
    writer.close()


TOO_LARGE = b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (MEGABYTE * 1000)
UNKNOWN = b"POST /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (MEGABYTE * 1000)


@pytest.mark.parametrize("head", [TOO_LARGE, UNKNOWN], ids=["closed", "kept alive"])
async def test_a_refused_body_that_does_not_end_is_read_for_a_bounded_time(
    resting: Service, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(http_connection, "_DISCARD_S", 0.5)
    _, writer = await _connect(resting)
    writer.write(head)
    await eventually(lambda: len(resting.gateway.connections) == 1, "accepted")
    async with asyncio.timeout(3):
        while resting.gateway.connections:
            writer.write(b"x")
            await asyncio.sleep(0.05)
    writer.close()


@pytest.mark.parametrize("head", [TOO_LARGE, UNKNOWN], ids=["closed", "kept alive"])
async def test_a_refused_body_is_read_up_to_a_bound(
    resting: Service, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(http_connection, "_DISCARD_BYTES", MEGABYTE)
    _, writer = await _connect(resting)
    writer.write(head)
    sent = 0
    with pytest.raises(ConnectionError):
        while sent < 100 * MEGABYTE:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()
    await eventually(lambda: not resting.gateway.connections, "closed", 2.0)
    writer.close()
