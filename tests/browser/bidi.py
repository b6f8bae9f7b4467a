"""Scope: a browser driven by WebDriver BiDi (W3C), as far as one page needs it; Firefox speaks it by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

_START_S = 60.0
_ANSWER_S = 60.0
_PREFERENCES = {
    "media.navigator.streams.fake": "true",  # a microphone that hums
    "media.navigator.permission.disabled": "true",
    "media.autoplay.default": "0",
    "app.normandy.enabled": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "browser.safebrowsing.update.enabled": "false",
}


class Tab:
    """One page. Raises RuntimeError for what the browser refuses."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0
        self._context = ""

    async def open(self, url: str, before: str) -> None:
        """Load a page; `before` (a JavaScript function) runs ahead of its own scripts."""
        await self._ask("session.new", capabilities={})
        tree = await self._ask("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]
        await self._ask("script.addPreloadScript", functionDeclaration=before)
        await self._ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression (or what it promises) is: a string, a number or a truth."""
        target = {"context": self._context}
        told = await self._ask(
            "script.evaluate", expression=expression, target=target, awaitPromise=True, userActivation=True
        )
        if told["type"] != "success":
            raise RuntimeError(told["exceptionDetails"]["text"])
        return told["result"].get("value")

    async def until(self, expression: str, within_s: float = 30.0) -> None:
        """Until an expression is true. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not await self.value(expression):
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        """The browser with it."""
        await self._ask("browser.close")

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        await self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            said = json.loads(await asyncio.wait_for(self._socket.recv(), _ANSWER_S))
            if said.get("id") == self._count:
                if said["type"] == "error":
                    raise RuntimeError(f"{method}: {said['message']}")
                result: dict[str, Any] = said["result"]
                return result


@contextlib.asynccontextmanager
async def firefox(home: Path) -> AsyncIterator[Tab]:
    """A Firefox with a profile of its own in `home`, without a window."""
    profile = home / "profile"
    profile.mkdir()
    lines = (f'user_pref("{name}", {value});' for name, value in _PREFERENCES.items())
    (profile / "user.js").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        *("firefox-esr", "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"),
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    said = asyncio.create_task(_address(process))
    try:
        address = await asyncio.wait_for(asyncio.shield(said), _START_S)
        talking = asyncio.create_task(_drain(process))
        async with connect(f"{address}/session", max_size=None) as socket:
            tab = Tab(socket)
            yield tab
            await tab.close()
        await asyncio.wait_for(process.wait(), _ANSWER_S)
        await talking
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
    raise RuntimeError("Firefox ended before it listened")


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while await process.stderr.readline():
        pass
