"""Tools of MCP servers: processes that speak over their standard streams, or addresses that speak streamable HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
from collections.abc import Sequence
from typing import Any

from mcp import Client, MCPError, StdioServerParameters
from mcp_types import CONNECTION_CLOSED, CallToolResult, TextContent, Tool

log = logging.getLogger("voiced.brain")

_CONNECT_S = 15.0
_FIRST_S = 5.0
_CALL_S = 15.0
_AGAIN_S = (1.0, 60.0)
_MOST_PAGES = 16
_MOST_TOOLS = 128
_MOST_CHARS = 8000


class McpServers:
    """Calls the tools of MCP servers. Each of `addresses` is an http(s):// address or a command.

    A server that cannot be reached, or was lost, is tried again after 1 s, and after up to 60 s where that fails; its
    tools are not offered meanwhile. Of tools with the same name the first server's counts.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        """Raises ValueError for a command that cannot be split into words."""
        self._servers = [_Server(address) for address in addresses]

    def begin(self) -> None:
        """Connect to all servers, in the background."""
        for server in self._servers:
            server.begin()

    async def offered(self) -> Sequence[dict[str, Any]]:
        """Give the tools of the servers that are connected; the first time it waits for them, for 5 s at most."""
        self.begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_S):
                for server in self._servers:
                    await server.tried.wait()
        return [_function(tool) for tool, _ in self._tools().values()]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        """Call a tool; what failed of it is told to the model in a sentence."""
        if name not in self._tools():
            return f"The tool {name!r} is not there now."
        return await self._tools()[name][1].call(name, arguments)

    async def close(self) -> None:
        """Leave all servers; processes are ended."""
        await asyncio.gather(*(server.close() for server in self._servers))

    def _tools(self) -> dict[str, tuple[Tool, _Server]]:
        found: dict[str, tuple[Tool, _Server]] = {}
        for server in self._servers:
            for tool in server.tools:
                if len(found) < _MOST_TOOLS:
                    found.setdefault(tool.name, (tool, server))
        return found


class _Server:
    """Holds the connection to one server, in a task of its own."""

    def __init__(self, address: str) -> None:
        self._what: str | StdioServerParameters = address
        self._named = address.partition("?")[0]
        if not address.startswith(("http://", "https://")):
            words = shlex.split(address)
            if not words:
                raise ValueError("it is empty")
            self._what, self._named = StdioServerParameters(command=words[0], args=words[1:]), words[0]
        self.tools: list[Tool] = []
        self.tried = asyncio.Event()
        self._client: Client | None = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._kept())

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        if self._client is None:
            return f"The tool {name!r} is not there now."
        try:
            async with asyncio.timeout(_CALL_S):
                return _told(await self._client.call_tool(name, arguments))
        except TimeoutError:
            return f"The tool {name!r} gave no answer within {_CALL_S:g} s."
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                self._lost.set()
            return f"The tool {name!r} failed: {error}"[:_MOST_CHARS]
        except Exception as error:  # the boundary of somebody else's server
            log.warning("the tool %s of %s failed (%s)", name, self._named, type(error).__name__)
            self._lost.set()
            return f"The tool {name!r} failed."

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _kept(self) -> None:
        """Keep the connection until it is cancelled."""
        again_s, most_s = _AGAIN_S
        while True:
            try:
                await self._connected()
                again_s = _AGAIN_S[0]
            except Exception as error:  # whatever the server, or the way to it, does
                log.warning("the MCP server %s cannot be used: %s", self._named, _innermost(error))
            finally:
                self._client, self.tools = None, []
                self.tried.set()
            await asyncio.sleep(again_s)
            again_s = min(again_s * 2, most_s)

    async def _connected(self) -> None:
        """Connect, and hold the connection until it is lost."""
        self._lost.clear()
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(_CONNECT_S):
                client = await stack.enter_async_context(Client(self._what, read_timeout_seconds=_CALL_S))
                self.tools = await _listed(client)
            self._client = client
            self.tried.set()
            log.info("the MCP server %s offers %d tools", self._named, len(self.tools))
            await self._lost.wait()


async def _listed(client: Client) -> list[Tool]:
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def _function(tool: Tool) -> dict[str, Any]:
    about = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
    return {"type": "function", "function": about}


def _told(result: CallToolResult) -> str:
    """Give the words of a result; what else it holds is named."""
    parts = [block.text if isinstance(block, TextContent) else f"[{block.type}]" for block in result.content]
    text = "\n".join(parts) or "It is done."
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]} […]"


def _innermost(error: BaseException) -> str:
    """Say what lies within a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
