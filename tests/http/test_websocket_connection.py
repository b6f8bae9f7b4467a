"""Scope: the WebSocket connection itself: handshakes that are refused, and those that are none."""

import asyncio
import logging

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed

from realtime.commands.serve import running
from realtime.config import Config
from tests.serving.asking import handshake
from tests.serving.wire import Service, wire

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


@pytest.mark.asyncio(loop_scope="session")
async def test_text_that_is_not_utf_8_closes_with_1007_and_is_no_error_of_the_server(
    resting: Service, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)
    try:
        for pieces in ([b"\xff"], [b"{", b"\xc3", b"("]):
            async with wire(resting) as talk:
                await talk.connection.send(pieces if len(pieces) > 1 else pieces[0], text=True)
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.wait_for(talk.connection.recv(), 5)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1007, "text has to be UTF-8")
    finally:
        logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
