"""Scope: translation sessions over a real socket, a real engine behind: given words in, marked transcripts and speech
out, in order and whole."""

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime.agent.brain import Reader
from realtime.commands.serve import running
from realtime.config import Config
from realtime.http.client_socket import ClientSocket
from realtime.request import RegisteredClip
from realtime.session.shared import Limits
from realtime.shell.shell import Shell
from realtime.translation.session import Interpreting
from realtime.translation.translator import AudioPiece, Rendered, Transcribed, Words
from realtime.transports.translations import TranslationWire
from tests.serving.asking import ask
from tests.serving.tap import Tap
from tests.serving.wire import PATIENCE_S, RATE, Service, eventually, idle

pytestmark = pytest.mark.asyncio(loop_scope="session")

FRAME = bytes(9600)
SAID = "Good morning, how are you? Where is the lighthouse? Thank you very much."
SPOKEN = ["Guten Morgen, wie geht es Ihnen?", "Where is the lighthouse?", "Vielen Dank."]
SHOWN = "Guten Morgen, wie geht es Ihnen? [Where is the lighthouse?] Vielen Dank. "


class Interpreted:
    """A client of a translation session."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def update(self, **session: Any) -> dict[str, Any]:
        await self.send("session.update", session=session)
        shown: dict[str, Any] = (await self.until("session.updated"))["session"]
        return shown

    async def into(self, language: str) -> dict[str, Any]:
        return await self.update(audio={"output": {"language": language}})

    async def say(self, text: str) -> None:
        await self.send("session.input_transcript.append", text=text)

    async def listen(self, frames: int) -> None:
        audio = base64.b64encode(FRAME * frames).decode()
        await self.send("session.input_audio_buffer.append", audio=audio)

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE_S))
            self.heard.append(event)
            if event["type"] in (kind, "error"):
                assert event["type"] == kind, event
                return event

    async def close(self) -> None:
        """Close the session, and expect the connection to end with it."""
        await self.send("session.close")
        await self.until("session.closed")
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.heard if event["type"] == kind]

    def text(self, which: str) -> str:
        return "".join(event["delta"] for event in self.of(f"session.{which}_transcript.delta"))

    @property
    def pcm(self) -> bytes:
        return b"".join(base64.b64decode(event["delta"]) for event in self.of("session.output_audio.delta"))


@contextlib.asynccontextmanager
async def connected(address: str, key: str = "none") -> AsyncIterator[Interpreted]:
    url = f"ws://{address}/v1/realtime/translations?model=any"
    offered = ["realtime", f"openai-insecure-api-key.{key}"]
    async with connect(url, compression=None, max_size=None, subprotocols=offered) as connection:  # type: ignore[arg-type]
        assert connection.subprotocol == "realtime"
        client = Interpreted(connection)
        await client.until("session.created")
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def client(resting: Service) -> AsyncIterator[Interpreted]:
    async with connected(resting.address) as talking:
        yield talking


@pytest.fixture
def tap(resting: Service) -> Iterator[Tap]:
    yield Tap(resting.gateway.engine)
    del resting.gateway.engine.submit


async def test_the_session_says_what_it_is_and_that_a_phrase_table_translates(
    client: Interpreted, resting: Service
) -> None:
    session = client.heard[0]["session"]
    assert session["id"].startswith("sess_")
    assert (session["type"], session["model"]) == ("translation", resting.gateway.engine.info.checkpoint)  # type: ignore[union-attr]
    assert session["expires_at"] > 1_700_000_000
    assert session["audio"] == {
        "input": {"transcription": None, "noise_reduction": None},
        "output": {"language": None},
    }
    told = session["voiced"]
    assert (told["translator"], told["transcripts"], told["source_language"]) == ("phrases", "given", "en")
    assert told["languages"] == ["de", "es", "fr"]


async def test_what_is_said_is_shown_translated_and_spoken_to_the_last_sample(client: Interpreted, tap: Tap) -> None:
    await client.update(audio={"input": {"transcription": {"model": "any"}}, "output": {"language": "de"}})
    for word in SAID.split():
        await client.say(f"{word} ")
    await client.close()
    assert client.text("input") == f"{SAID} "
    assert client.text("output") == SHOWN
    assert tap.texts == SPOKEN
    assert client.pcm == tap.made(*SPOKEN)
    audio = client.of("session.output_audio.delta")[0]
    assert (audio["sample_rate"], audio["channels"], audio["format"]) == (RATE, 1, "pcm16")
    ids = [event["event_id"] for event in client.heard]
    assert len(ids) == len(set(ids))


async def test_closing_translates_and_speaks_what_is_left(client: Interpreted, tap: Tap) -> None:
    await client.into("fr")
    await client.say("Thank you")
    await client.close()
    assert client.text("output") == "Merci "
    assert client.pcm == tap.made("Merci")
    assert client.pcm


async def test_two_seconds_of_silence_end_a_phrase(client: Interpreted) -> None:
    await client.into("de")
    await client.listen(5)
    await client.say("Good night")
    await client.listen(10)
    told = await client.until("session.output_transcript.delta")
    assert (told["delta"], told["elapsed_ms"]) == ("Gute Nacht ", 3000)
    audio = await client.until("session.output_audio.delta")
    assert audio["elapsed_ms"] == 3000
    assert client.text("input") == ""  # nobody asked for source transcripts


async def test_another_language_holds_from_the_next_words_on(client: Interpreted, tap: Tap) -> None:
    await client.into("de")
    await client.say("Thank you. Hello")
    shown = await client.into("es")
    assert shown["audio"]["output"]["language"] == "es"
    await client.say("Thank you.")
    await client.close()
    assert client.text("output") == "Danke. Hallo Gracias. "
    assert tap.texts == ["Danke.", "Hallo", "Gracias."]
    assert client.pcm == tap.made("Danke.", "Hallo", "Gracias.")


async def test_a_voice_may_be_chosen(client: Interpreted, tap: Tap) -> None:
    shown = await client.update(audio={"output": {"language": "de"}}, voiced={"voice": "bob"})
    assert shown["voiced"]["voice"] == "bob"
    await client.say("Thank you.")
    await client.close()
    assert tap.requests[0].voicing.clips == [RegisteredClip("bob")]


async def test_errors_leave_the_session_open(client: Interpreted) -> None:
    for event, code in [
        ({"type": "session.update", "session": {"audio": {"output": {"language": "ja"}}}}, "unsupported_language"),
        ({"type": "session.input_transcript.append", "text": "Hello."}, "language_not_set"),
        ({"type": "session.nothing"}, "invalid_value"),
        ({"type": "session.close", "reason": "x"}, "unknown_parameter"),
    ]:
        await client.connection.send(json.dumps({**event, "event_id": "mine"}))
        told = json.loads(await asyncio.wait_for(client.connection.recv(), PATIENCE_S))
        assert (told["type"], told["error"]["code"], told["error"]["event_id"]) == ("error", code, "mine")
        assert told["error"]["message"].endswith((".", "?"))
    await client.into("de")
    await client.close()


async def test_a_client_secret_sets_the_session_up(resting: Service) -> None:
    session = {"type": "translation", "model": "any", "audio": {"output": {"language": "es"}}}
    minted = await ask(resting.address, "POST", "/v1/realtime/translations/client_secrets", {"session": session})
    async with connected(resting.address, minted.json["value"]) as client:
        assert client.heard[0]["session"]["audio"]["output"]["language"] == "es"
        await client.say("Thank you.")
        assert (await client.until("session.output_transcript.delta"))["delta"] == "Gracias. "


async def test_a_client_that_leaves_leaves_nothing_behind(resting: Service) -> None:
    async with connected(resting.address) as client:
        await client.into("de")
        await client.say(SAID)
        await client.until("session.output_audio.delta")
    await eventually(lambda: idle(resting.gateway), "all given back")


async def test_a_server_that_stops_finishes_the_sentence_and_says_that_the_session_is_closed(
    tiny_checkpoint: Path,
) -> None:
    config = Config(port=0, model=str(tiny_checkpoint), device="cpu", threads=1, slots=2, drain_s=20.0)
    async with running(config) as (server, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        async with connected(Service(gateway, url).address) as client:
            await client.into("de")
            await client.say("Thank you.")
            await client.until("session.output_audio.delta")
            server.should_exit = True
            await client.until("session.closed")
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(client.connection.recv(), PATIENCE_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012


class Hearing:
    """A translator that claims to understand every frame, until it breaks."""

    name, source, targets = "hearing", "en", ("de",)
    transcripts: Any = "heard"

    async def translate(
        self, source: AsyncIterator[AudioPiece | Words], target: str
    ) -> AsyncIterator[Transcribed | Rendered]:
        async for piece in source:
            assert isinstance(piece, AudioPiece)
            if piece.end_ms > 400:
                raise RuntimeError("the model is gone")
            yield Transcribed(f"frame {piece.end_ms}. ")


class Peer(ClientSocket):
    """The other end of a socket, in memory: what it sends, and what it was told."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self._events = events
        self.told: list[dict[str, Any]] = []
        self.closed: int | None = None
        self._over = asyncio.Event()

    @property
    def stalled(self) -> bool:
        return False

    async def send(self, data: bytes) -> None:
        self.told.append(json.loads(data))

    async def close(self, code: int, reason: str) -> None:
        self.closed = code
        self._over.set()

    async def incoming(self) -> AsyncIterator[bytes]:
        for event in self._events:
            yield json.dumps(event).encode()
        await self._over.wait()


async def test_a_translator_that_hears_and_breaks_ends_the_session_in_words(
    resting: Service, caplog: pytest.LogCaptureFixture
) -> None:
    info = resting.gateway.engine.info
    assert info is not None
    audio = base64.b64encode(FRAME).decode()
    peer = Peer(
        {
            "type": "session.update",
            "session": {"audio": {"input": {"transcription": {"model": "any"}}, "output": {"language": "de"}}},
        },
        *[{"type": "session.input_audio_buffer.append", "audio": audio}] * 5,
    )
    runtime = resting.gateway.runtime(info)
    wire = TranslationWire(peer, Interpreting(Hearing(), runtime, lambda prefix: prefix), Hearing())
    meters = resting.gateway.metrics.session_meters("translation", runtime.sample_rate)
    call = Shell(wire, resting.gateway.engine, Reader(), runtime, Limits(), meters, asyncio.Event())
    with caplog.at_level(logging.CRITICAL, "voiced.translations"):
        await asyncio.wait_for(wire.run(call.run()), PATIENCE_S)
    kinds = [told["type"] for told in peer.told]
    assert kinds == [
        "session.created",
        "session.updated",
        *["session.input_transcript.delta"] * 2,
        "error",
        "session.closed",
    ]
    assert [told["delta"] for told in peer.told[2:4]] == ["frame 200. ", "frame 400. "]
    assert peer.told[4]["error"]["code"] == "translation_failed"
    assert peer.closed == 1011
