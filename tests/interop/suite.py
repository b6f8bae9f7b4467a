"""One run of every client against one server: what each said of itself, what was on the wire, what the engine made."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.app import Application
from tests.interop.engine_tap import EngineTap, Reference
from tests.interop.environment import DRIVERS, EXAMPLES, Clients
from tests.interop.recorder import Connection, Recorder, recording
from tests.recognition.recordings import path_of

KEY = "sk-interop-0123456789abcdef"
FIRST = "The train leaves at nine, and the next one leaves at ten."
LONG = (
    "The harbour is quiet in the morning. The ships come in before noon, one after the other. "
    "Then the gulls follow them, and the whole town hears it until the evening."
)
LAST = "Nobody was late today."
ENGLISH = "Good morning, how are you?"
GERMAN = "Guten Morgen, wie geht es Ihnen?"

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Run:
    """One program that ran to its end. `facts` is its last line, if that is JSON; `since` is the first of the engine's
    requests that were made for it; `complaints` is what it wrote to stderr."""

    facts: dict[str, Any]
    output: str
    recorder: Recorder
    since: int
    tap: EngineTap
    complaints: str = ""

    def made(self, text: str, nth: int = 0) -> Reference:
        """What the engine made of a text for this run, the `nth` time it was to speak it."""
        return self.tap.spoken(text, self.since)[nth]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Error events of its Realtime sockets."""
        return [event["error"] for event in self.recorder.server_events() if event["type"] == "error"]


class Suite:
    """Runs programs one after another, each once however many tests ask for it."""

    def __init__(self, gateway: Application, port: int, clients: Clients, tap: EngineTap, folder: Path) -> None:
        self.gateway = gateway
        self.clients = clients
        self.tap = tap
        self.folder = folder
        self._port = port
        self._runs: dict[tuple[str, ...], Run | AssertionError] = {}
        self._turn = asyncio.Lock()

    async def driver(self, name: str) -> Run:
        """A program of `drivers/` with the arguments it takes."""
        return await self.program(name, *ARGUMENTS[name](self))

    async def program(self, name: str, *arguments: str, key: str = KEY) -> Run:
        """A program of `drivers/` or `clients/examples/`, behind a recorder of its own."""
        wanted = (name, *arguments, key)
        async with self._turn:
            if wanted not in self._runs:
                try:
                    self._runs[wanted] = await self._run(name, arguments, key)
                except AssertionError as failure:  # it fails every test that asks for it, but runs once
                    self._runs[wanted] = failure
            run = self._runs[wanted]
        if isinstance(run, AssertionError):
            raise run
        return run

    def connections(self, path: str) -> list[Connection]:
        """All WebSockets of all runs so far at a path."""
        return [one for run in self._runs.values() if isinstance(run, Run) for one in run.recorder.on(path)]

    async def _run(self, name: str, arguments: tuple[str, ...], key: str) -> Run:
        since = len(self.tap.utterances)
        async with recording(self._port, self._server_side() if name in SECURE else None) as recorder:
            output, complaints = await self._execute(name, arguments, recorder.url, key)
        last = output.rstrip().rpartition("\n")[2]
        facts = json.loads(last) if last.startswith("{") else {}
        return Run(facts, output, recorder, since, self.tap, complaints)

    async def _execute(self, name: str, arguments: tuple[str, ...], url: str, key: str) -> tuple[str, str]:
        if name.endswith(".mjs"):
            command = [str(self.clients.node), str(self.clients.scripts / name)]
        else:
            folder = DRIVERS if (DRIVERS / name).exists() else EXAMPLES
            command = [str(self.clients.python) if name.endswith(".py") else "bash", str(folder / name)]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(EXAMPLES),
            "NODE_EXTRA_CA_CERTS": str(self.clients.certificate),
            "VOICE_SERVER": url,
            "VOICE_KEY": key,
        }
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                output, complaints = await process.communicate()
        except TimeoutError:
            process.kill()
            output, complaints = await process.communicate()
            raise AssertionError(f"{name} did not end within {PATIENCE_S} s:\n{_tail(output, complaints)}") from None
        assert process.returncode == 0, f"{name} failed:\n{_tail(output, complaints)}"
        return output.decode(), complaints.decode()

    def _server_side(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls = self.clients.certificate.parent
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
        return context


REALTIME = [
    "openai_python.py",
    "openai_node.mjs",
    "agents_js.mjs",
    "pipecat_realtime_service.py",
    "livekit_realtime_model.py",
]
"""Drivers of Realtime clients: each hears FIRST, stops LONG in the middle, and hears LAST."""

SECURE = {"openai_node.mjs", "openai_realtime.mjs"}
"""Programs whose client knows nothing but TLS."""

ARGUMENTS = {
    **dict.fromkeys(REALTIME, lambda suite: (FIRST, LONG, LAST)),
    "livekit_reconnects.py": lambda suite: (FIRST, LAST),
    "openai_speech_formats.py": lambda suite: (FIRST, str(suite.folder)),
    "openai_transcriptions.py": lambda suite: (str(path_of("0920")),),
    "client_secret.py": lambda suite: (),
    "every_event.py": lambda suite: (LONG, LAST),
    "openai_translation.py": lambda suite: (ENGLISH, "de"),
    "pipecat_tts_services.py": lambda suite: (FIRST, LONG, LAST),
    "livekit_tts_plugins.py": lambda suite: (FIRST, LONG, LAST),
}


def _tail(output: bytes, complaints: bytes) -> str:
    return f"{output.decode()[-2000:]}\n{complaints.decode()[-6000:]}"
