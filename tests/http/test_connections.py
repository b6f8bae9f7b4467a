"""Scope: how many connections there may be, who makes room for whom, and a server with few descriptors."""

import asyncio
import contextlib
import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from realtime.commands.serve import running
from realtime.config import Config
from realtime.http.connections import Connections, Listener
from realtime.http.descriptors import most_connections
from tests.http.test_tls import CERT, CERT_KEY
from tests.serving.asking import ask
from tests.serving.scrape import Scraped
from tests.serving.wire import Service, eventually, wire

BUSY = b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
"""A request under way: the rest of its body is waited for."""


class Pairs:
    """Connections counted by hand."""

    def __init__(self, limit: int) -> None:
        self.now = 0.0
        self.dropped: list[str] = []
        self.connections = Connections(limit, self.dropped.append, lambda: self.now)
        self._others: list[socket.socket] = []

    def come(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._others.append(theirs)
        theirs.settimeout(0)
        self.connections.opened(ours)
        return ours

    def told(self) -> list[bool]:
        """Which peers were told the end."""
        return [self._ended(other) for other in self._others]

    @staticmethod
    def _ended(other: socket.socket) -> bool:
        try:
            return other.recv(1) == b""
        except BlockingIOError:
            return False


def test_with_room_nobody_is_closed() -> None:
    pairs = Pairs(2)
    pairs.come()
    assert pairs.connections.make_room()
    assert (pairs.told(), pairs.dropped) == ([False], [])


def test_the_one_that_has_waited_the_longest_makes_room() -> None:
    pairs = Pairs(3)
    first, second, _ = pairs.come(), pairs.come(), pairs.come()
    pairs.connections.works(first.fileno())
    pairs.connections.works(second.fileno())
    pairs.connections.waits(first.fileno())
    assert pairs.connections.make_room()
    assert pairs.told() == [False, False, True], "the first has asked for something since"
    pairs.come()
    assert pairs.connections.make_room()
    assert pairs.told() == [True, False, True, False], "whose request is under way is not closed"
    assert pairs.dropped == ["gave_way", "gave_way"]


def test_where_all_are_at_work_nobody_is_closed_and_nobody_comes_in() -> None:
    pairs = Pairs(2)
    for connection in (pairs.come(), pairs.come()):
        pairs.connections.works(connection.fileno())
    assert not pairs.connections.make_room()
    assert pairs.told() == [False, False]
    pairs.connections.closed(next(iter(pairs.connections._open)))
    assert pairs.connections.make_room()


def test_there_are_never_many_more_than_the_limit_however_many_come_at_once() -> None:
    pairs = Pairs(32)
    while pairs.connections.make_room():
        pairs.come()
    assert len(pairs.connections) == 36


def test_one_episode_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pairs = Pairs(1)
    pairs.connections.works(pairs.come().fileno())
    for second in range(100):
        pairs.now = float(second)
        assert not pairs.connections.make_room()
        pairs.connections.refused()
    assert len(caplog.records) == 1
    assert "1 connections are open, and there may be 1" in caplog.text
    pairs.now = 1000.0
    pairs.connections.refused()
    assert len(caplog.records) == 2
    assert pairs.dropped == ["refused"] * 101


@pytest.mark.parametrize(
    ("descriptors", "max_sessions", "connections"),
    [(1 << 20, 256, 1280), (1024, 256, 512), (256, 256, 128), (256, 16, 128), (1024, 16, 896), (8, 256, 4)],
)
def test_descriptors_are_kept_for_all_that_is_no_connection(
    descriptors: int, max_sessions: int, connections: int
) -> None:
    assert most_connections(descriptors, max_sessions) == connections


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener(socket.AF_INET, Connections(1, lambda _: None)) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(1)
        yield listener


def test_whoever_finds_no_room_is_told_so_at_once(listener: Listener) -> None:
    with socket.create_connection(listener.getsockname()) as one, listener.accept()[0] as accepted:
        listener._connections.works(accepted.fileno())
        with socket.create_connection(listener.getsockname()) as other, pytest.raises(BlockingIOError):
            listener.accept()
        assert one.getpeername() == listener.getsockname()
        with socket.create_connection(listener.getsockname()) as other:
            with pytest.raises(BlockingIOError):
                listener.accept()
            assert other.recv(1000).startswith(b"HTTP/1.1 503 ")
            assert other.recv(1000) == b""
    with socket.create_connection(listener.getsockname()), listener.accept()[0]:
        assert len(listener._connections) == 1, "there is room again once one was closed"


@pytest.fixture
def few(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service, with room for four connections."""
    monkeypatch.setattr(service.gateway.connections, "limit", 4)
    return service


async def _open(service: Service, *sent: bytes) -> list[asyncio.StreamWriter]:
    host, port = service.address.split(":")
    opened = []
    for data in sent:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        if data.startswith(ASKED):
            await reader.readexactly(len(b"HTTP/1.1 200"))  # it was answered, and waits
        opened.append(writer)
    await eventually(lambda: len(service.gateway.connections) >= 4, "accepted")
    return opened


async def _dropped(service: Service) -> tuple[float, float]:
    told = Scraped((await ask(service.address, "GET", "/metrics")).body.decode())
    name = "voiced_connections_dropped_total"
    return told.value(name, reason="gave_way"), told.value(name, reason="refused")


HALF = b"GET /healthz HTTP/1.1\r\nX:"
ASKED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("held", [b"", HALF, ASKED, ASKED + HALF], ids=["silent", "half", "kept alive", "half again"])
@pytest.mark.asyncio(loop_scope="session")
async def test_connections_that_ask_for_nothing_do_not_keep_others_out(few: Service, held: bytes) -> None:
    gave_way, refused = await _dropped(few)
    opened = await _open(few, *[held] * 8)
    for _ in range(8):
        assert (await asyncio.wait_for(ask(few.address, "GET", "/healthz"), 5)).status == 200
    now_gave_way, now_refused = await _dropped(few)
    assert now_gave_way >= gave_way + 5
    assert now_refused == refused
    assert len(few.gateway.connections) <= 4
    for writer in opened:
        writer.close()


async def test_handshakes_of_tls_that_go_nowhere_make_room(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(port=0, model=str(tiny_checkpoint), threads=1, slots=2, tls_cert=CERT, tls_key=CERT_KEY)
    async with running(config) as (_, gateway, url):
        monkeypatch.setattr(gateway.connections, "limit", 4)
        service = Service(gateway, url.replace("wss://", "ws://"))
        opened = await _open(service, *[b""] * 8)
        trusting = ssl.create_default_context(cafile=CERT)
        reply = await asyncio.wait_for(ask(service.address, "GET", "/healthz", tls=trusting), 5)
        assert reply.status == 200
        for writer in opened:
            writer.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_where_all_are_at_work_newcomers_are_refused_and_sessions_go_on(
    few: Service, caplog: pytest.LogCaptureFixture
) -> None:
    before = await _dropped(few)
    async with wire(few) as session:
        opened = await _open(few, *[BUSY] * 3)
        await eventually(lambda: few.gateway.connections.waiting == 0, "all are at work")
        for _ in range(10):
            assert (await ask(few.address, "GET", "/healthz")).status == 503
        assert (await session.say("Good evening.")).samples > 0
        for writer in opened:
            writer.close()
        await eventually(lambda: len(few.gateway.connections) == 1, "there is room again")
        assert await _dropped(few) == (before[0], before[1] + 10)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 1


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from realtime.commands.cli import main
main(["serve", "--threads", "1", "--slots", "2", *sys.argv[3:]])
"""


class Limited:
    """`voiced serve` as a process that may open so many descriptors. What it says is in `log`."""

    def __init__(self, soft: int, hard: int, model: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.log = log
        command = [sys.executable, "-c", _LIMITED, str(soft), str(hard), "--port", str(self.port)]
        with log.open("wb") as file:
            self._popen = subprocess.Popen([*command, "--model", str(model)], stderr=file)
        self.process = psutil.Process(self._popen.pid)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def worked_s(self) -> float:
        return sum(self.process.cpu_times()[:2])

    def said(self) -> int:
        return self.log.stat().st_size


@contextlib.asynccontextmanager
async def _with_descriptors(soft: int, hard: int, model: Path, log: Path) -> AsyncIterator[Limited]:
    server = Limited(soft, hard, model, log)
    try:
        await eventually(server.answers, "it listens", 60)
        yield server
    finally:
        server.kill()


@pytest.mark.parametrize("held", [b"", ASKED + HALF], ids=["silent", "half a second head"])
async def test_more_connections_than_descriptors_leave_a_server_that_serves_rests_and_says_so_once(
    tiny_checkpoint: Path, tmp_path: Path, held: bytes
) -> None:
    async with _with_descriptors(256, 256, tiny_checkpoint, tmp_path / "log") as server:
        said = server.said()
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(400)]
        for _, writer in opened:
            writer.write(held)
        async with asyncio.timeout(30):
            while (await ask(server.address, "GET", "/healthz")).status != 200:  # for a moment all may be at work
                await asyncio.sleep(0.1)
        assert (await ask(server.address, "GET", "/healthz")).status == 200
        assert server.process.num_fds() < 200, "some are kept for calls and files"
        worked = server.worked_s()
        await asyncio.sleep(2)
        assert server.worked_s() - worked < 1.0, "it does not try in vain"
        assert server.said() - said < 2000
        for _, writer in opened:
            writer.close()


async def test_a_server_takes_the_descriptors_that_it_may_have(tiny_checkpoint: Path, tmp_path: Path) -> None:
    async with _with_descriptors(256, 1500, tiny_checkpoint, tmp_path / "log") as server:
        assert server.process.rlimit(psutil.RLIMIT_NOFILE) == (1500, 1500)
        told = Scraped((await ask(server.address, "GET", "/metrics")).body.decode())
        assert told.value("voiced_connections_limit") == 750
