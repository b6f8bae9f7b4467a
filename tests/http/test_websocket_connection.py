"""Scope: the WebSocket connection itself: handshakes that are refused, and those that are none."""

import asyncio
import logging

import msgspec
import pytest

from realtime.commands.serve import running
from realtime.config import Config
from tests.serving.asking import handshake
from tests.serving.wire import Service

KEY = "sk-canary-0123456789"
_KEYED = {"Authorization": f"Bearer {KEY}"}


async def test_a_refused_handshake_is_answered_and_no_error_of_the_server(
    server_config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    config = msgspec.structs.replace(server_config, api_keys=[KEY])
    async with running(config) as (_, gateway, url):
        address = Service(gateway, url).address
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)  # uvicorn's do not reach the root logger
        try:
            nobody = await handshake(address, "/v1/realtime")
            lost = await handshake(address, "/v1/realtime?call_id=rtc_none", _KEYED)
        finally:
            logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert (nobody.status, nobody.error["code"]) == (401, "invalid_api_key")
    assert (lost.status, lost.error["code"]) == (404, "call_not_found")
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(("name", "value", "status"), [("X-Long", "a" * 9000, 431), ("Content-Length", "5", 400)])
async def test_what_cannot_be_a_handshake_does_not_keep_its_connection(
    server_config: Config, name: str, value: str, status: int
) -> None:
    async with running(server_config) as (_, gateway, url), asyncio.timeout(10):
        refused = await handshake(Service(gateway, url).address, "/v1/realtime", {name: value})
    assert refused.status == status
