"""Scope: what the tests of WebRTC share: loopback for aiortc, and proof that nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import aioice.ice
import pytest

from tests.rtc.calls import held


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc as a client leaves loopback out; here it is all there is."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """Tasks and descriptors are as before each test."""
    await asyncio.sleep(0)
    before = held()
    yield
    for _ in range(100):
        if held() <= before:
            break
        await asyncio.sleep(0.02)
    else:
        gc.collect()
    assert held() <= before, f"(tasks, descriptors): {before} before, {held()} after"
