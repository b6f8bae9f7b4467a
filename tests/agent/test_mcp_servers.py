"""Scope: tools of real MCP servers, made with the SDK, over standard streams and over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from realtime.agent import mcp_servers
from realtime.agent.chat.brain import ChatBrain
from realtime.agent.chat.endpoint import Endpoint
from realtime.agent.mcp_servers import McpServers
from realtime.config import Config, ConfigError
from realtime.parts import parts_of
from tests.agent.scripted import said, scripted
from tests.agent.test_tools import HELLO, calling

SERVER = Path(__file__).parent / "tool_server.py"
COMMAND = f"{sys.executable} {SERVER}"


@contextlib.asynccontextmanager
async def over_http() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(SERVER), "http", stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/mcp"
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def over(kind: str) -> AsyncIterator[McpServers]:
    async with contextlib.AsyncExitStack() as stack:
        servers = McpServers([await stack.enter_async_context(over_http()) if kind == "http" else COMMAND])
        try:
            yield servers
        finally:
            await servers.close()


@pytest.mark.parametrize("kind", ["streams", "http"])
async def test_a_real_server_offers_its_tools_and_answers_calls(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with over(kind) as servers, scripted(calling(("forecast", '{"city": "Porto"}')), said("Sunny.")) as script:
        brain = ChatBrain(Endpoint(script.url, "m"), tools=servers)
        assert [piece async for piece in brain.reply(HELLO)] == ["Sunny."]
        assert script.asked[1]["messages"][-1]["content"] == "It is sunny in Porto."
        offered = {tool["function"]["name"]: tool["function"] for tool in script.asked[0]["tools"]}
        assert offered["forecast"]["description"] == "Tells the weather of a city."
        assert offered["forecast"]["parameters"]["required"] == ["city"]
        assert "No such thing" in await servers.call("wrong", {})
        assert "city" in await servers.call("forecast", {})
        assert await servers.call("missing", {}) == "The tool 'missing' is not there now."
        monkeypatch.setattr(mcp_servers, "_CALL_S", 0.2)
        assert await servers.call("slow", {}) == "The tool 'slow' gave no answer within 0.2 s."
        await brain.close()


async def test_a_server_that_was_lost_comes_back_beside_those_that_never_came(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mcp_servers, "_AGAIN_S", (0.05, 5.0))
    servers = McpServers(["/no/such/command", "http://127.0.0.1:9/mcp", COMMAND])
    try:
        assert "forecast" in {tool["function"]["name"] for tool in await servers.offered()}
        assert "failed" in await servers.call("leave", {})
        async with asyncio.timeout(20):
            while await servers.call("forecast", {"city": "Porto"}) != "It is sunny in Porto.":
                await asyncio.sleep(0.05)
    finally:
        await servers.close()
    assert "the MCP server /no/such/command cannot be used" in caplog.text


def test_settings_name_servers_and_a_wrong_command_is_one_sentence() -> None:
    named = Config(brain_url="http://127.0.0.1:9/v1", mcp_servers=[COMMAND])
    assert isinstance(parts_of(named).brain, ChatBrain)
    with pytest.raises(ConfigError, match="mcp_servers"):
        parts_of(Config(brain_url="http://127.0.0.1:9/v1", mcp_servers=['half "a command']))
