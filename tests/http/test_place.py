"""Scope: asking whether a session would be let in, which begins nothing and counts as nothing."""

import contextlib

import pytest

from tests.serving.asking import Reply, ask, handshake
from tests.serving.scrape import Scraped
from tests.serving.wire import Service, eventually, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANN, BEN = "ticket-ann", "ticket-ben"


async def _place(service: Service, ticket: str) -> Reply:
    return await ask(service.address, "GET", f"/v1/realtime/place?ticket={ticket}")


async def _counted(service: Service) -> list[float]:
    told = Scraped((await ask(service.address, "GET", "/metrics")).body.decode())
    refused = told.value("voiced_sessions_refused_total", reason="too_many_sessions")
    return [refused, told.value("voiced_webrtc_connects_total", outcome="refused")]


async def test_who_asks_for_a_place_is_told_what_a_session_would_be_and_keeps_it(resting: Service) -> None:
    free = await _place(resting, ANN)
    assert (free.status, free.json, free.headers["cache-control"]) == (200, {"status": "free"}, "no-store")
    async with contextlib.AsyncExitStack() as sessions:
        for _ in range(resting.gateway.config.max_sessions - 1):
            await sessions.enter_async_context(wire(resting))
        async with wire(resting):
            before = await _counted(resting)
            full, refused = await _place(resting, ANN), await handshake(resting.address, f"/v1/realtime?ticket={ANN}")
            assert (full.status, full.error) == (refused.status, refused.error)
            assert full.headers["retry-after"] == refused.headers["retry-after"]
            assert "number 1 in line" in full.error["message"]
            assert "number 2 in line" in (await _place(resting, BEN)).error["message"]
            assert await _counted(resting) == [before[0] + 1, before[1]], "the handshake alone"
        await eventually(lambda: len(resting.gateway.sessions) < resting.gateway.config.max_sessions, "one is free")
        for _ in range(2):
            assert (await _place(resting, ANN)).status == 200
            assert "number 2 in line" in (await _place(resting, BEN)).error["message"], "it was not taken"
    for ticket in (ANN, BEN):  # both come in, and leave the line
        async with wire(Service(resting.gateway, f"{resting.url}?ticket={ticket}")):
            pass


async def test_a_ticket_that_is_none_is_said_to_keep_no_place(resting: Service) -> None:
    async with contextlib.AsyncExitStack() as sessions:
        for _ in range(resting.gateway.config.max_sessions):
            await sessions.enter_async_context(wire(resting))
        for ticket in ("short", "not%20a%20ticket!"):
            message = (await handshake(resting.address, f"/v1/realtime?ticket={ticket}")).error["message"]
            assert "number 1 in line. The ticket keeps no place: it has to be 8 to 64 letters" in message
        assert "ticket" not in (await handshake(resting.address, "/v1/realtime")).error["message"]
