"""`voiced serve`: the server in the foreground, telling how far it is and what runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator

from realtime.app import Gateway, Server, create_app, create_server
from realtime.config import Config
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineInfo


async def serve(config: Config) -> int:
    """Run until told to stop. Returns 1 when the engine cannot load or the port is taken."""
    async with running(config) as (server, gateway, url):
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(stop, _stop, server)
        watch = asyncio.create_task(_announce(gateway, url))
        finished = asyncio.create_task(_finished(server))
        await asyncio.wait([watch, finished], return_when=asyncio.FIRST_COMPLETED)
        if watch.done() and watch.exception() is not None:
            print(f"voiced: {watch.exception()}", file=sys.stderr)
            server.should_exit = True
            await finished
            return 1
        await finished
        watch.cancel()
    return 0


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[tuple[Server, Gateway, str]]:
    """A server that listens; gives its WebSocket address. Leaving stops it and all it started.

    Raises OSError when the address is taken.
    """
    listener = _listen(config.host, config.port)
    host, port = listener.getsockname()[:2]
    app = create_app(config)
    server = create_server(app, config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if task.done():
            await task
            raise OSError("the server did not start; see the log above")
        shown = f"[{host}]" if ":" in host else host
        yield server, app.state.gateway, f"ws://{shown}:{port}/v1/realtime"
    finally:
        server.should_exit = True
        await task
        listener.close()


async def follow(engine: EngineProcess) -> EngineInfo:
    """Show the engine's loading stages on stderr until it is ready. Raises RuntimeError if it cannot be."""
    shown = ""
    while engine.info is None and engine.error is None:
        if engine.stage != shown:
            shown = engine.stage
            print(f"voiced: {shown} …", file=sys.stderr, flush=True)
        await engine.wait_changed()
    return await engine.wait_ready()


def describe(info: EngineInfo) -> str:
    """What runs, in one line."""
    voice = "random weights: expect NOISE, not speech" if info.kind == "noise" else "speech"
    return (
        f"checkpoint {info.checkpoint} ({voice}) on {info.device}, {info.dtype}, {info.decoder} decoder, "
        f"{info.max_slots} voices at once"
    )


async def _announce(gateway: Gateway, url: str) -> None:
    info = await follow(gateway.engine)
    print(f"voiced: ready at {url}\nvoiced: {describe(info)}", file=sys.stderr, flush=True)
    while gateway.engine.error is None:
        await gateway.engine.wait_changed()
    raise RuntimeError(gateway.engine.error)


def _stop(server: Server) -> None:
    """The first signal lets everybody finish speaking, the second does not wait."""
    server.force_exit = server.should_exit
    server.should_exit = True


async def _finished(server: Server) -> None:
    while not server.should_exit:
        await asyncio.sleep(0.1)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from error
    return listener
