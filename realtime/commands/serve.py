"""Runs the server in the foreground (`voiced serve`), and tells how far it is and what runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator

from realtime.access.policy import is_loopback
from realtime.app import Application, create_app
from realtime.config import Config
from realtime.engine.client import EngineClient
from realtime.engine.messages import EngineInfo
from realtime.http.descriptors import raise_descriptors
from realtime.http.server import Server, check_listening, create_server, listen, reached_at
from realtime.parts import Parts


async def serve(config: Config) -> int:
    """Run the server until it is told to stop. Returns the exit status: 1 when the engine cannot load, otherwise 0.

    Raises OSError when the port is taken; ConfigError and VoiceError for settings that cannot be used.
    """
    raise_descriptors(config.max_sessions)
    async with running(config) as (server, application, url):
        loop = asyncio.get_running_loop()
        stopping = _Stopping(server, application)
        for stop in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(stop, stopping.asked)
        watch = asyncio.create_task(_announce(application, url))
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
async def running(config: Config, parts: Parts | None = None) -> AsyncIterator[tuple[Server, Application, str]]:
    """Run a server for as long as the context is entered; give the server, the application and its WebSocket address.

    Leaving stops the server and all it started. Raises OSError when the address is taken; ConfigError and VoiceError
    for settings that cannot be used.
    """
    check_listening(config)
    application = create_app(config, parts)
    listener = listen(config.host, config.port, application.connections)
    host, port = listener.getsockname()[:2]
    server = create_server(application.asgi, config, application.drain, application.connections)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if task.done():
            await task
            raise OSError("the server did not start; see the log above")
        scheme = "wss" if config.tls_cert else "ws"
        yield server, application, f"{scheme}://{reached_at(host, port)}/v1/realtime"
    finally:
        server.should_exit = True
        await task
        listener.close()


async def follow(engine: EngineClient) -> EngineInfo:
    """Show the engine's loading stages on stderr until it is ready. Raises RuntimeError if it cannot be loaded."""
    shown = ""
    while engine.info is None and engine.error is None:
        if engine.stage != shown:
            shown = engine.stage
            print(f"voiced: {shown} …", file=sys.stderr, flush=True)
        await engine.wait_changed()
    return await engine.wait_ready()


def describe(info: EngineInfo) -> str:
    """Describe what runs, in one line."""
    voice = "random weights: expect NOISE, not speech" if info.kind == "noise" else "speech"
    return (
        f"checkpoint {info.checkpoint} ({voice}) on {info.device}, {info.dtype}, {info.decoder} decoder, "
        f"{info.max_slots} voices at once"
    )


async def _announce(application: Application, url: str) -> None:
    info = await follow(application.engine)
    gc.collect()
    gc.freeze()  # what was made so far stays: garbage collections that look through it would make packets late
    page = "http" + url.removeprefix("ws").removesuffix("v1/realtime")
    print(f"voiced: ready at {url}, its page at {page}\nvoiced: {describe(info)}", file=sys.stderr, flush=True)
    config = application.config
    if config.api_keys and not config.tls_cert and not is_loopback(config.host):
        advice = "give --tls-cert and --tls-key, or put a TLS proxy in front"
        print(f"voiced: keys and speech travel unencrypted: {advice}", file=sys.stderr, flush=True)
    while application.engine.error is None:
        await application.engine.wait_changed()
    raise RuntimeError(application.engine.error)


class _Stopping:
    """Stops a server by steps: the first signal lets sessions finish speaking, the second cuts them off, the third
    exits without waiting for that.
    """

    def __init__(self, server: Server, application: Application) -> None:
        self._server = server
        self._application = application
        self._times = 0

    def asked(self) -> None:
        """Take one more step towards the end, for a signal that came."""
        self._times += 1
        self._server.should_exit = True
        if self._times == 1 and (count := len(self._application.sessions)):
            patience = f"up to {self._application.config.drain_s:g} s; stop it again and it does not wait"
            print(f"voiced: finishing what is being said (sessions: {count}), {patience}", file=sys.stderr, flush=True)
        elif self._times == 2:
            self._application.cut()
        elif self._times > 2:
            self._server.force_exit = True


async def _finished(server: Server) -> None:
    while not server.should_exit:
        await asyncio.sleep(0.1)
