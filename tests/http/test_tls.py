"""Scope: the server behind its own certificate, and where it refuses to listen at all."""

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from realtime.commands.serve import running
from realtime.config import Config, ConfigError
from realtime.http.server import listen
from tests.serving.asking import ask

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLDER = Path(__file__).parent.parent / "access"
CERT, CERT_KEY = str(FOLDER / "localhost.pem"), str(FOLDER / "localhost.key")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(tiny_checkpoint: Path) -> AsyncIterator[str]:
    config = Config(port=0, model=str(tiny_checkpoint), threads=1, slots=2, tls_cert=CERT, tls_key=CERT_KEY)
    async with running(config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        yield url


async def test_requests_and_sockets_are_served_over_tls_and_over_nothing_else(url: str) -> None:
    assert url.startswith("wss://")
    trusting = ssl.create_default_context(cafile=CERT)
    address = url.removeprefix("wss://").partition("/")[0]
    assert (await ask(address, "GET", "/healthz", tls=trusting)).json == {"status": "ok"}
    async with connect(url, ssl=trusting, subprotocols=["realtime"], origin=f"https://{address}") as connection:  # type: ignore[arg-type, list-item]
        assert json.loads(await connection.recv())["type"] == "session.created"
    with pytest.raises(OSError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        await ask(address, "GET", "/healthz", tls=ssl.create_default_context())
    with pytest.raises((OSError, http.client.HTTPException)):
        await ask(address, "GET", "/healthz")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(host="0.0.0.0"), "VOICED_API_KEYS"),
        (Config(host="::"), "VOICED_API_KEYS"),
        (Config(host="voice.example"), "or --allow-anonymous if"),
        (Config(api_keys=["short"]), "at least 16"),
        (Config(tls_cert=CERT), "belong together"),
        (Config(tls_key=CERT_KEY), "belong together"),
        (Config(tls_cert="/nowhere.pem", tls_key=CERT_KEY), "nowhere"),
        (Config(tls_cert=CERT, tls_key=CERT), "PEM files"),
        (Config(tls_cert=__file__, tls_key=CERT_KEY), "cannot be used; give a certificate chain"),
    ],
)
async def test_a_server_that_would_stand_open_or_whose_certificate_is_none_does_not_start(
    config: Config, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        async with running(config):
            pass
    assert str(refused.value).count(". ") == 0, "one sentence"


@pytest.mark.parametrize("more", [{"api_keys": ["sk-canary-0123456789"]}, {"allow_anonymous": True}])
async def test_beyond_loopback_it_starts_with_keys_or_when_told_to(
    tiny_checkpoint: Path, more: dict[str, object]
) -> None:
    config = Config(host="0.0.0.0", port=0, model=str(tiny_checkpoint), threads=1, **more)  # type: ignore[arg-type]
    async with running(config) as (_, gateway, url):
        port = url.rpartition(":")[2].partition("/")[0]
        assert (await ask(f"127.0.0.1:{port}", "GET", "/healthz")).status == 200
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        status = (await ask(f"127.0.0.1:{port}", "GET", "/v1/models")).status
        assert status == (401 if config.api_keys else 200)


@pytest.mark.parametrize(
    ("host", "fix"),
    [("voice.invalid", "--host"), ("203.0.113.7", "--host"), ("::1:2", "--host"), ("127.0.0.1", "--port")],
)
async def test_an_address_that_cannot_be_listened_on_says_which_setting_is_wrong(host: str, fix: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match=rf"cannot listen on {host}:\d+: .*; .* with {fix}$"):
            listen(host, taken.getsockname()[1])
