"""Scope: speech requests over real HTTP, a real engine behind: formats against other people's decoders, the moment the
first bytes leave, refusals, clients that leave or stop reading, a server that stops."""

import asyncio
import base64
import contextlib
import copy
import http.client
import io
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from protocol.encodings import BadMessage
from protocol.errors import Refused
from protocol.speech import SpeechRequest, decode_speech_request
from realtime.app import Application
from realtime.commands.serve import running
from realtime.config import Config
from realtime.engine.client import EngineProcess, Sink
from realtime.engine.messages import Audio, Event
from realtime.http.access_middleware import AccessMiddleware
from realtime.http.replies import ERROR_HANDLERS
from realtime.http.server import create_server, listen
from realtime.request import Ended, Speak
from realtime.transports.speech_file import SpeechFileRoute
from tests.serving.asking import Reply, ask
from tests.serving.wire import LONG, RATE, Footprint, Service, assert_back_to, eventually, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/audio/speech"
SLOTS = 3
TEXT = "Good evening, all. Good night."  # two clauses
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
FORMATS = pytest.mark.parametrize("sound_format", list(MEDIA_TYPES))


@pytest.fixture(scope="module")
def exact_config(server_config: Config) -> Config:
    """Few slots, and the exact decoder: it gives the same samples each time, but for rounding."""
    return structs.replace(server_config, decoder="exact", slots=SLOTS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(exact_config: Config) -> AsyncIterator[Service]:
    async with running(exact_config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        await asyncio.to_thread(lambda: None)  # the thread pool is there from now on
        yield Service(gateway, url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def expected(service: Service) -> np.ndarray:
    """What TEXT sounds like."""
    samples = await pcm_of(service)
    assert len(samples) > RATE
    return samples


async def say(service: Service, text: str = TEXT, **fields: Any) -> Reply:
    """A speech request, the same each time."""
    return await ask(service.address, "POST", PATH, {"input": text, "model": "tts-1", "seed": 1, **fields})


async def pcm_of(service: Service, text: str = TEXT, **fields: Any) -> np.ndarray:
    reply = await say(service, text, response_format="pcm", **fields)
    assert reply.status == 200, reply.body
    return np.frombuffer(reply.body, "<i2").astype(np.float64)


class OneWay(soundfile.SoundFile):  # type: ignore[misc]
    """A file that was sent while it grew: it tells no length, so nobody can seek in it."""

    def seekable(self) -> bool:
        return False


def decoded(data: bytes, sound_format: str) -> np.ndarray:
    """Samples at 24 kHz as libsndfile reads them (AAC, which it does not know: FFmpeg), in PCM's scale."""
    if sound_format == "pcm":
        return np.frombuffer(data, "<i2").astype(np.float64)
    if sound_format == "aac":
        with av.open(io.BytesIO(data)) as container:
            planes = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
            assert container.streams.audio[0].rate == RATE
        return np.concatenate(planes).astype(np.float64) * 32768
    with OneWay(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels) == (RATE, 1)
        samples: np.ndarray = file.read(60 * RATE, dtype="float64")
    return samples * 32768


def likeness(speech: np.ndarray, reference: np.ndarray) -> tuple[float, int]:
    """Correlation at the delay that fits best, and that delay in samples."""
    size = len(speech) + len(reference)
    spectrum = np.fft.rfft(speech, size) * np.fft.rfft(reference, size).conj()
    delay = int(np.fft.irfft(spectrum, size)[:4096].argmax())
    later = speech[delay : delay + len(reference)]
    return float(np.corrcoef(later, reference[: len(later)])[0, 1]), delay


def same(speech: np.ndarray, reference: np.ndarray) -> bool:
    """Sample by sample, but for how frames were grouped when they were decoded and rounded."""
    return len(speech) == len(reference) and bool(np.abs(speech - reference).max() <= 2)


def sent_events(body: bytes) -> list[dict[str, Any]]:
    """Server-sent events, each of one data line."""
    *blocks, rest = body.decode().split("\n\n")
    assert rest == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def level(samples: np.ndarray) -> float:
    return float(np.sqrt((samples**2).mean()))


# --- what is answered ---


@FORMATS
async def test_each_format_decodes_to_the_speech_that_pcm_has(
    resting: Service, expected: np.ndarray, sound_format: str
) -> None:
    reply = await say(resting, response_format=sound_format)
    assert reply.status == 200
    assert reply.headers["content-type"] == MEDIA_TYPES[sound_format]
    assert reply.headers["transfer-encoding"] == "chunked"
    speech = decoded(reply.body, sound_format)
    if sound_format in ("pcm", "wav", "flac"):
        assert same(speech, expected)
        return
    assert 0 <= len(speech) - len(expected) < 3 * 1152  # an encoder's first and last frames
    alike, delay = likeness(speech, expected)
    assert alike > 0.85  # random weights speak noise up to 10 kHz, which is the worst there is for them
    assert level(speech[delay : delay + len(expected)]) == pytest.approx(level(expected), rel=0.05)


async def test_mp3_is_what_one_gets_without_asking(resting: Service) -> None:
    reply = await ask(resting.address, "POST", PATH, {"input": TEXT})
    assert (reply.status, reply.headers["content-type"]) == (200, "audio/mpeg")
    assert len(decoded(reply.body, "mp3")) > RATE


@pytest.mark.parametrize("sound_format", ["mp3", "pcm"])
async def test_events_carry_the_same_file_and_end_with_what_it_took(resting: Service, sound_format: str) -> None:
    file = await say(resting, response_format=sound_format)
    reply = await say(resting, response_format=sound_format, stream_format="sse")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")
    *deltas, done = sent_events(reply.body)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    joined = b"".join(base64.b64decode(event["audio"], validate=True) for event in deltas)
    speech, expected = decoded(joined, sound_format), decoded(file.body, sound_format)
    assert len(speech) == len(expected)
    assert likeness(speech, expected) == (pytest.approx(1, abs=0.01), 0)
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    if sound_format == "pcm":
        assert usage["output_tokens"] * 960 == len(speech)


async def test_the_answer_says_which_checkpoint_spoke_whatever_was_asked_for(resting: Service) -> None:
    reply = await say(resting, "Good evening.", model="gpt-4o-mini-tts")
    assert resting.gateway.engine.info is not None
    assert reply.headers["x-voiced-checkpoint"] == resting.gateway.engine.info.checkpoint
    assert reply.headers["x-request-id"].startswith("req_")


async def test_a_seed_gives_the_same_speech_again_and_another_one_does_not(
    resting: Service, expected: np.ndarray
) -> None:
    assert same(await pcm_of(resting), expected)
    other = await pcm_of(resting, seed=8)
    assert likeness(other, expected)[0] < 0.7


async def test_voice_and_instructions_reach_the_model_and_null_is_as_good_as_nothing(
    resting: Service, expected: np.ndarray
) -> None:
    amy = await pcm_of(resting, voice="amy")
    assert likeness(amy, expected)[0] < 0.7
    assert same(amy, await pcm_of(resting, voice={"id": "amy"}))
    rain = await pcm_of(resting, instructions="A station.\nRain outside.")
    assert likeness(rain, expected)[0] < 0.7
    nothing = dict.fromkeys(("voice", "instructions", "speed", "stream_format"))
    assert same(await pcm_of(resting, **nothing), expected)


async def test_openais_voices_are_names_for_voices_here(resting: Service) -> None:
    assert len(await pcm_of(resting, voice="alloy")) > RATE
    assert len(await pcm_of(resting, voice="shimmer")) > RATE


@pytest.mark.parametrize("speed", [0.25, 0.5, 2, 4.0])
async def test_speed_is_how_many_times_faster_the_same_speech_goes(resting: Service, speed: float) -> None:
    text = "Good evening."  # one clause, stretched in one piece
    plain = await pcm_of(resting, text)
    changed = await pcm_of(resting, text, speed=speed)
    assert len(changed) == round(len(plain) / speed)
    assert level(changed) == pytest.approx(level(plain), rel=0.25)


async def test_requests_at_the_same_time_do_not_mix(resting: Service) -> None:
    asked = [("pcm", 1, "Good evening."), ("mp3", 2, "Good night."), ("opus", 3, "Well done.")]
    alone = [await pcm_of(resting, text, seed=seed) for _, seed, text in asked]
    replies = await asyncio.gather(
        *(say(resting, text, seed=seed, response_format=sound_format) for sound_format, seed, text in asked)
    )
    for index, reply in enumerate(replies):
        speech = decoded(reply.body, asked[index][0])
        fits = [likeness(speech, reference)[0] for reference in alone]
        assert fits[index] > 0.85
        assert all(fit < 0.7 for other, fit in enumerate(fits) if other != index)


# --- the first bytes ---


class Gate:
    """The engine, with a gate in it: of each request the first `free` pieces of audio pass, the rest waits until it is
    opened."""

    def __init__(self, engine: EngineProcess, free: int) -> None:
        self._engine = engine
        self._free = free
        self._kept: list[tuple[Sink, Event]] = []
        self._opened = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def submit(self, request: Speak, sink: Sink) -> None:
        passed = 0

        def through(event: Event) -> None:
            nonlocal passed
            broken = isinstance(event, Ended) and event.reason == "failed"  # then there is nothing behind the gate
            if self._opened or broken or (isinstance(event, Audio) and passed < self._free):
                passed += 1
                sink(event)
            else:
                self._kept.append((sink, event))

        self._engine.submit(request, through)

    def open(self) -> None:
        self._opened = True
        for sink, event in self._kept:
            sink(event)


@contextlib.asynccontextmanager
async def serving(gateway: Application, speech: SpeechFileRoute) -> AsyncIterator[Service]:
    """A second door to a gateway: its address serves `speech` and nothing else."""
    app = Starlette(
        routes=[Route(PATH, speech, methods=["POST"])],
        middleware=[Middleware(AccessMiddleware, access=gateway.access)],
        exception_handlers=ERROR_HANDLERS,
    )
    listener = listen("127.0.0.1", 0)
    server = create_server(app, gateway.config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await eventually(lambda: server.started, "the second door is open")
    try:
        yield Service(gateway, f"ws://127.0.0.1:{listener.getsockname()[1]}/")
    finally:
        server.should_exit = True
        await task
        listener.close()


def speech_of(gateway: Application, engine: Any = None, *, stall_s: float = 15.0) -> SpeechFileRoute:
    """The route on the server's own sessions, perhaps with another engine."""
    sessions = copy.copy(gateway.sessions)
    sessions.engine = gateway.engine if engine is None else engine
    return SpeechFileRoute(sessions, stall_s)


class Listener:
    """A client that reads when it is told to; made with little room to receive. Waits: use it in a thread."""

    def __init__(self, service: Service, text: str, **fields: Any) -> None:
        host, port = service.address.split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=30)
        self.connection.sock = socket.socket()
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.connection.sock.settimeout(30)
        self.connection.sock.connect((host, int(port)))
        self.connection.request("POST", PATH, json.dumps({"input": text, "seed": 1, **fields}))
        self.response = self.connection.getresponse()

    def some(self) -> bytes:
        """What has come, waiting for something."""
        return self.response.read1(65536)

    def rest(self) -> bytes:
        """Everything to the end. Raises http.client.IncompleteRead or ConnectionError where it breaks off."""
        return self.response.read()

    def close(self) -> None:
        self.response.close()
        self.connection.close()


@contextlib.asynccontextmanager
async def listening(service: Service, text: str = TEXT, **fields: Any) -> AsyncIterator[Listener]:
    listener = await asyncio.to_thread(Listener, service, text, **fields)
    try:
        yield listener
    finally:
        listener.close()


@dataclass
class LateBody:
    """A request whose head has come and whose body has not."""

    connection: http.client.HTTPConnection
    body: bytes

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Send the body; returns status and error."""
        self.connection.send(self.body)
        answer = self.connection.getresponse()
        error: dict[str, Any] = json.loads(answer.read())["error"]
        return answer.status, error


@contextlib.contextmanager
def late_body(service: Service) -> Iterator[LateBody]:
    host, port = service.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    body = json.dumps({"input": TEXT}).encode()
    connection.putrequest("POST", PATH)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    try:
        yield LateBody(connection, body)
    finally:
        connection.close()


@FORMATS
async def test_the_first_bytes_leave_while_the_engine_has_given_eight_pieces(
    resting: Service, expected: np.ndarray, sound_format: str
) -> None:
    gate = Gate(resting.gateway.engine, free=8)
    async with (
        serving(resting.gateway, speech_of(resting.gateway, gate)) as gated,
        listening(gated, response_format=sound_format) as listener,
    ):
        assert listener.response.status == 200
        first = await asyncio.to_thread(listener.some)
        assert len(first) > 0
        gate.open()
        speech = decoded(first + await asyncio.to_thread(listener.rest), sound_format)
    assert len(speech) >= len(expected)
    assert likeness(speech, expected)[0] > 0.85


async def test_the_first_event_leaves_while_the_engine_has_given_eight_pieces(resting: Service) -> None:
    gate = Gate(resting.gateway.engine, free=8)
    async with (
        serving(resting.gateway, speech_of(resting.gateway, gate)) as gated,
        listening(gated, stream_format="sse") as listener,
    ):
        first = await asyncio.to_thread(listener.some)
        assert sent_events(first)[0]["type"] == "speech.audio.delta"
        gate.open()
        assert sent_events(await asyncio.to_thread(listener.rest))[-1]["type"] == "speech.audio.done"


# --- what is refused ---


@pytest.mark.parametrize(
    ("fields", "code", "param", "says"),
    [
        ({"input": ""}, "invalid_value", "input", "4096"),
        ({"input": "… !"}, "invalid_value", "input", "no word"),
        ({"input": "a" * 4097}, "invalid_value", "input", "4096"),
        ({"input": 5}, "invalid_value", "input", "4096"),
        ({"voice": "amyy"}, "invalid_value", "voice", "Did you mean 'amy'?"),
        ({"voice": {"id": "nobody"}}, "invalid_value", "voice", "There are: "),
        ({"voice": {"name": "amy"}}, "unknown_parameter", "voice.name", "'voice'"),
        ({"voice": "item:item_1"}, "invalid_value", "voice", "/v1/audio/voices"),
        ({"response_format": "ogg"}, "invalid_value", "response_format", "opus"),
        ({"speed": 0.2}, "invalid_value", "speed", "0.25"),
        ({"speed": 4.1}, "invalid_value", "speed", "to 4"),
        ({"speed": "fast"}, "invalid_value", "speed", "number"),
        ({"stream_format": "websocket"}, "invalid_value", "stream_format", "sse"),
        ({"instructions": "a" * 4097}, "invalid_value", "instructions", "4096"),
        ({"seed": -1}, "invalid_value", "seed", "whole number"),
        ({"respons_format": "wav"}, "unknown_parameter", "respons_format", "'response_format'"),
        ({"language": "de"}, "unknown_parameter", "language", "The fields are"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_request_that_cannot_be_served_is_told_which_field_and_what_would_do(
    resting: Service, fields: dict[str, Any], code: str, param: str, says: str
) -> None:
    reply = await ask(resting.address, "POST", PATH, {"input": TEXT, **fields})
    error = reply.json["error"]
    assert (reply.status, error["type"], error["code"], error["param"]) == (400, "invalid_request_error", code, param)
    assert says in error["message"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b"[]", "invalid_value", None),
        (b'"Good evening."', "invalid_value", None),
        (b"{}", "missing_required_parameter", "input"),
        (b'{"voice":' + b"[" * 50_000, "invalid_value", "voice"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_body_that_is_no_request_is_told_so(
    resting: Service, body: bytes, code: str, param: str | None
) -> None:
    reply = await ask(resting.address, "POST", PATH, body)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, code, param)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*SpeechRequest.__struct_fields__, "id", "x"]), inner, max_size=4)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
async def test_whatever_the_body_it_is_a_request_or_one_error_about_it(body: bytes) -> None:
    try:
        request = decode_speech_request(body)
    except BadMessage as bad:
        assert bad.body.message.endswith(".")
        assert bad.body.code in ("invalid_json", "invalid_value", "unknown_parameter", "missing_required_parameter")
    else:
        assert 1 <= len(request.input) <= 4096


async def test_when_all_voices_are_in_use_one_more_is_told_to_come_back(resting: Service) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(SLOTS):
            talk = await stack.enter_async_context(wire(resting, binary=True, close_timeout=0.2))
            await talk.start(LONG * 3, voiced={"paced": False})
        await eventually(lambda: resting.gateway.engine.gauges.slots == SLOTS, "all slots are taken")
        reply = await say(resting)
        assert (reply.status, reply.error["code"], reply.error["type"]) == (429, "overloaded", "rate_limit_error")
        assert int(reply.headers["retry-after"]) > 0
    await eventually(lambda: resting.gateway.engine.gauges.slots == 0, "all slots are free")
    assert (await say(resting)).status == 200


async def test_one_connection_too_many_is_told_to_come_back(resting: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting.gateway.sessions, "_most", 1)
    async with wire(resting):
        reply = await say(resting)
    assert (reply.status, reply.error["code"]) == (503, "too_many_sessions")
    assert int(reply.headers["retry-after"]) > 0


async def test_places_that_are_promised_to_calls_are_not_spoken_in(
    resting: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An offer that is answered and not connected yet has its place, also against requests for files."""
    monkeypatch.setattr(resting.gateway.sessions, "_most", 1)
    with resting.gateway.sessions.admit():
        reply = await say(resting)
        assert (reply.status, reply.error["code"]) == (503, "too_many_sessions")
    assert (await say(resting)).status == 200


async def test_a_request_for_a_file_does_not_overtake_the_waiting_line(
    resting: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = resting.gateway.sessions
    monkeypatch.setattr(sessions, "_most", 1)
    with sessions.admit(), pytest.raises(Refused, match="number 1 in line"):
        sessions.admit(ticket="waiting-since-long")
    reply = await say(resting)
    assert (reply.status, reply.error["code"]) == (503, "too_many_sessions")
    sessions.admit(ticket="waiting-since-long").give_back()
    assert (await say(resting)).status == 200


async def test_while_the_engine_loads_requests_are_told_to_come_back(server_config: Config) -> None:
    async with running(server_config) as (_, gateway, url):
        reply = await say(Service(gateway, url))
        assert (reply.status, reply.error["code"], reply.error["type"]) == (503, "engine_not_ready", "server_error")
        assert int(reply.headers["retry-after"]) > 0


# --- clients and engines that go away ---


async def test_a_client_that_leaves_stops_its_speech_at_once(resting: Service) -> None:
    async with listening(resting, LONG * 3, response_format="pcm") as listener:
        await asyncio.to_thread(listener.some)
        assert len(resting.gateway.sessions) == 1
        assert resting.gateway.engine.gauges.slots == 1
    await eventually(lambda: not resting.gateway.sessions and resting.gateway.engine.gauges.slots == 0, "let go", 2.0)


async def test_a_client_that_leaves_before_the_first_sound_leaves_nothing_behind(resting: Service) -> None:
    gate = Gate(resting.gateway.engine, free=0)
    async with serving(resting.gateway, speech_of(resting.gateway, gate)) as gated:
        host, port = gated.address.split(":")
        client = http.client.HTTPConnection(host, int(port), timeout=30)
        await asyncio.to_thread(client.request, "POST", PATH, json.dumps({"input": LONG}))
        await eventually(lambda: len(gated.gateway.sessions) == 1, "it is being spoken")
        client.close()
        await eventually(lambda: not gated.gateway.sessions, "let go", 2.0)
        gate.open()


async def test_a_reader_that_stops_is_dropped_with_little_speech_buried_and_others_go_on(resting: Service) -> None:
    def buried() -> int:
        count = 0
        with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
            while data := stuck.some():
                count += len(data)
        return count // 2

    speech = speech_of(resting.gateway, stall_s=1.0)
    async with serving(resting.gateway, speech) as door, listening(door, LONG * 6, response_format="pcm") as stuck:
        await asyncio.to_thread(stuck.some)
        assert (await say(door)).status == 200
        await eventually(lambda: not resting.gateway.sessions, "dropped", 20.0)
        assert await asyncio.to_thread(buried) < 6 * RATE


async def test_an_engine_that_dies_breaks_the_transfer_off_and_refuses_what_had_not_begun(
    server_config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    before = Footprint.now()
    async with running(server_config) as (_, gateway, url):
        service = Service(gateway, url)
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        silent = Gate(gateway.engine, free=0)
        async with (
            serving(gateway, speech_of(gateway, silent)) as quiet,
            listening(service, LONG * 3, response_format="pcm") as listener,
        ):
            await asyncio.to_thread(listener.some)
            unheard = asyncio.create_task(say(quiet, LONG))
            await eventually(lambda: len(gateway.sessions) == 2, "both are being spoken")
            assert gateway.engine.pid is not None
            os.kill(gateway.engine.pid, signal.SIGKILL)
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                await asyncio.to_thread(listener.rest)
            reply = await unheard
            assert (reply.status, reply.error["code"]) == (503, "engine_not_ready")
            assert int(reply.headers["retry-after"]) > 0
        assert any("breaks off" in record.message for record in caplog.records)
    await assert_back_to(before, gateway)


async def test_a_server_told_to_stop_finishes_the_file_and_begins_no_other(exact_config: Config) -> None:
    before = Footprint.now()
    async with running(exact_config) as (server, gateway, url):
        service = Service(gateway, url)
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        expected = await pcm_of(service)
        async with listening(service, response_format="wav") as listener:
            with late_body(service) as late:
                first = await asyncio.to_thread(listener.some)
                server.should_exit = True
                await eventually(lambda: not server.servers[0].is_serving(), "it listens no longer")
                status, error = await asyncio.to_thread(late.finish)
                assert (status, error["code"]) == (503, "server_draining")
            assert same(decoded(first + await asyncio.to_thread(listener.rest), "wav"), expected)
    await assert_back_to(before, gateway)
