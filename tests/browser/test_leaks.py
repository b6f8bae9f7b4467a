"""Scope: calls that a browser makes and ends leave nothing behind at the server."""

import asyncio
import os
from dataclasses import dataclass

import psutil
import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.serving.wire import Service, eventually, idle

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass(frozen=True)
class Held:
    """What this process holds on to. The browser's own processes come and go as it likes."""

    tasks: int
    descriptors: int
    children: frozenset[int]

    @classmethod
    def now(cls) -> "Held":
        return cls(
            len(asyncio.all_tasks()),
            len(os.listdir("/proc/self/fd")),
            frozenset(child.pid for child in psutil.Process().children()),
        )


async def test_ten_calls_of_one_page_give_everything_back(visit: Visit, service: Service) -> None:
    visitor = await visit(f"http://{service.address}/")

    async def call() -> None:
        await visitor["connect"].click()
        await expect(visitor["transport"]).to_have_text("over WebRTC")
        await visitor["connect"].click()
        await expect(visitor["state"]).to_have_attribute("data-state", "offline")
        await eventually(lambda: idle(service.gateway), "the call is over", 10.0)

    await call()
    before = Held.now()
    for _ in range(10):
        await call()
    after = Held.now()
    await eventually(lambda: Held.now().tasks <= before.tasks, f"tasks: {before} -> {after}")
    await eventually(lambda: Held.now().descriptors <= before.descriptors, f"descriptors: {before} -> {after}", 15.0)
    assert after.children == before.children
