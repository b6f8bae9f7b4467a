"""Scope: parts of somebody else's, given from outside the package: an engine, a brain, a wire, a translator."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import websockets
from starlette.websockets import WebSocket

from clients.python import connect
from protocol.client_events import ClientEvent, InputAudioAppend, InputAudioCommit, ResponseCreate
from protocol.objects import InputText, NewMessage, ResponseConfig, ShownListening
from protocol.server_events import AudioDelta, ResponseDone, ServerEvent
from realtime.access.rules import Rule
from realtime.agent.brain import Brain, Dialogue, FunctionCall, Said
from realtime.app import create_app
from realtime.commands.serve import running
from realtime.config import Config, ConfigError
from realtime.engine.client import Sink
from realtime.engine.messages import Audio, EngineInfo, Gauges
from realtime.http.handshake import admitted
from realtime.parts import ExtraWire, Parts
from realtime.recognition.recogniser import Job, Transcript
from realtime.request import Ended, Speak
from realtime.shell.sessions import Sessions
from realtime.translation.translator import AudioPiece, Rendered, Transcribed, Words

PATIENCE_S = 20.0


class Beeper:
    """An engine that needs no model: a tenth of a second of sound for every clause."""

    def __init__(self) -> None:
        self.info: EngineInfo | None = EngineInfo(
            "beeper",
            "noise",
            "nowhere",
            "none",
            "none",
            "exact",
            0,
            24000,
            960,
            4,
            1,
            1,
            200,
            200,
            "none",
            [],
            {},
            "",
            1,
        )
        self.stage, self.error, self.restarts, self.pid, self.gauges = "ready", None, 0, None, Gauges()
        self.spoken: list[str] = []

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def wait_changed(self) -> None:
        await asyncio.Event().wait()

    async def wait_ready(self) -> EngineInfo:
        assert self.info is not None
        return self.info

    def submit(self, request: Speak, sink: Sink) -> None:
        self.spoken.append(request.text)
        sink(Audio(request.request_id, 0, bytes(4800)))
        sink(Ended(request.request_id, "stop", prompt_positions=1, frames=3, samples=2400))

    def cancel(self, request_id: str) -> None: ...
    def hold(self, request_id: str, held: bool) -> None: ...
    def drop_context(self, context_id: str) -> None: ...
    async def register_voice(self, name: str, pcm: bytes) -> None: ...
    def forget_voice(self, name: str) -> None: ...


class Parrot:
    """A brain that says everything back, and looks up what time it is."""

    answers_turns = True
    needs_transcripts = False

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        said = dialogue.entries[-1]
        assert isinstance(said, Said)
        if "time" in said.text:
            yield FunctionCall("now", "{}", call_id="call_of_mine")
        else:
            yield f"You said: {said.text}"


def unwilling() -> Brain:
    raise ValueError("no key")


def parrot() -> Brain:
    return Parrot()


async def test_an_engine_and_a_brain_from_outside_hold_a_conversation() -> None:
    engine = Beeper()
    async with running(Config(port=0), Parts(brain=Parrot(), engine=engine)) as (_, _, url), connect(url) as talk:
        speech = await talk.say("Good morning.")
        pcm = b"".join([piece async for piece in speech])
        assert speech.transcript == "You said: Good morning."
        assert (len(pcm), engine.spoken) == (4800, ["You said: Good morning."])


async def test_a_brain_that_understands_is_asked_when_a_turn_ends_and_its_call_keeps_its_id() -> None:
    server = running(Config(port=0), Parts(brain=Parrot(), engine=Beeper()))
    seen: dict[str, dict[str, Any]] = {}
    async with server as (_, _, url), websockets.connect(url) as socket:
        listening = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
        await socket.send(json.dumps({"type": "session.update", "session": listening}))
        asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What time is it?"}]}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": asked}))
        await socket.send(json.dumps({"type": "response.create"}))
        while "response.done" not in seen:
            event = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
            seen[event["type"]] = event
    assert seen["session.updated"]["session"]["audio"]["input"]["turn_detection"]["create_response"] is True
    assert seen["response.done"]["response"]["output"][0]["call_id"] == "call_of_mine"


class Scribe:
    """A recogniser that hears the same in everything."""

    name, languages, why = "scribe", ("en",), ""

    async def run(self) -> None: ...
    async def ready(self) -> None: ...
    def wake(self) -> None: ...

    async def transcribe(self, job: Job) -> Transcript:
        return Transcript("What is new?", "en", len(job.pcm) / 48000)


class Reading(Parrot):
    needs_transcripts = True


async def test_a_recogniser_from_outside_gives_a_brain_that_reads_its_words() -> None:
    parts = Parts(brain=Reading(), engine=Beeper(), recogniser=Scribe())
    async with running(Config(port=0), parts) as (_, _, url), connect(url) as talk:
        session = await talk.listen()
        assert isinstance(session.voiced.listening, ShownListening)
        assert session.voiced.listening.recogniser == "scribe"
        await talk.send(InputAudioAppend(audio=bytes(24000)))
        await talk.send(InputAudioCommit())
        speech = await talk.respond()
        await speech.read()
        assert speech.transcript == "You said: What is new?"


class LineWire:
    """A wire of one line in and bare PCM out."""

    stalled = False

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def incoming(self) -> AsyncIterator[ClientEvent]:
        async for line in self._websocket.iter_text():
            given = [NewMessage("user", [InputText(line)])]
            yield ResponseCreate(response=ResponseConfig(conversation="none", input=given))

    async def send(self, event: ServerEvent) -> None:
        if isinstance(event, AudioDelta):
            await self._websocket.send_bytes(event.delta)
        elif isinstance(event, ResponseDone):
            await self._websocket.send_text(event.response.status)

    async def close(self, code: int, reason: str) -> None:
        await self._websocket.close(code, reason)


async def serve_lines(websocket: WebSocket, sessions: Sessions, brain: Brain) -> None:
    place = await admitted(websocket, sessions)
    if place is not None:
        with place:
            await websocket.accept()
            shell = sessions.begin(place, LineWire(websocket), brain, "other", asyncio.Event())
            await sessions.run(place, shell)


async def test_a_wire_from_outside_is_counted_and_guarded_like_every_other() -> None:
    lines = ExtraWire(Rule("WEBSOCKET", "/lines"), serve_lines)
    config = Config(port=0, api_keys=["a-key-of-sixteen-chars"])
    async with running(config, Parts(brain=Parrot(), engine=Beeper(), wires=[lines])) as (_, application, url):
        address = url.replace("/v1/realtime", "/lines")
        with pytest.raises(websockets.InvalidStatus) as denied:
            await websockets.connect(address)
        assert denied.value.response.status_code == 401
        async with websockets.connect(
            address, additional_headers={"Authorization": f"Bearer {config.api_keys[0]}"}
        ) as socket:
            await socket.send("Hello.")
            assert len(await asyncio.wait_for(socket.recv(), PATIENCE_S)) == 4800
            assert await asyncio.wait_for(socket.recv(), PATIENCE_S) == "completed"
            assert [one.transport for one in application.sessions] == ["other"]


class Shouter:
    """A translator that puts what it is given into capitals."""

    name = "shouter"
    transcripts: Literal["given", "heard"] = "given"
    source = "en"
    targets: Sequence[str] = ("de",)

    async def translate(
        self, source: AsyncIterator[AudioPiece | Words], target: str
    ) -> AsyncIterator[Transcribed | Rendered]:
        async for piece in source:
            if isinstance(piece, Words):
                yield Transcribed(piece.text)
                yield Rendered(piece.text.upper(), complete=True)


async def test_a_translator_from_outside_is_spoken() -> None:
    engine = Beeper()
    server = running(Config(port=0), Parts(translator=Shouter(), engine=engine))
    async with server as (_, _, url), websockets.connect(f"{url}/translations") as socket:
        wanted = {"audio": {"output": {"language": "de"}}}
        await socket.send(json.dumps({"type": "session.update", "session": wanted}))
        await socket.send(json.dumps({"type": "session.input_transcript.append", "text": "Well done."}))
        async with asyncio.timeout(PATIENCE_S):
            while not engine.spoken:
                await socket.recv()
    assert engine.spoken == ["WELL DONE."]


def test_a_module_in_the_working_directory_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "answers.py").write_text("class Parrot:\n    answers_turns, needs_transcripts = True, False\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    assert create_app(Config(brain="answers:Parrot")).parts.brain.answers_turns


class Silent:
    """A brain as it was written before anything recognised speech."""

    answers_turns = True

    async def reply(self, dialogue: Dialogue) -> AsyncIterator[str | FunctionCall]:
        yield "Good."


async def test_a_brain_that_says_nothing_of_transcripts_listens_for_itself() -> None:
    parts = Parts(brain=cast(Brain, Silent()), engine=Beeper())
    async with running(Config(port=0), parts) as (_, _, url), connect(url) as talk:
        speech = await talk.say("Hello.")
        assert b"".join([piece async for piece in speech])
        assert speech.transcript == "Good."


def test_a_setting_names_a_part_by_module_and_factory() -> None:
    application = create_app(Config(brain="tests.parts.test_third_parties:parrot"), None)
    assert type(application.parts.brain).__name__ == "Parrot"


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("nobody", "no installed package offers it"),
        ("no.such.module:brain", "cannot be made"),
        ("json:nothing", "cannot be made"),
        ("json:loads", "cannot be made"),
        ("tests.parts.test_third_parties:unwilling", "cannot be made .ValueError: no key"),
    ],
)
def test_a_part_that_is_not_there_is_one_sentence_that_names_the_setting(named: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        create_app(Config(brain=named))
    assert str(error.value).startswith("brain ")
