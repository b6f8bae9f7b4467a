"""Scope: Cartesia's protocol over a real socket, a real engine behind: words in pieces, contexts, flushes,
cancellation, sample formats, and errors that name the field."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from codec_stream.formats import ENCODINGS, SpeechEncoder
from tests.serving.tap import Tap
from tests.serving.wire import LONG, PATIENCE_S, RATE, Service, eventually, idle

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST, SECOND, THIRD = "The train leaves at nine. ", "Bring a warm coat and a hat for the crossing. ", "See you then."
ENDS = ("done", "error")


def message(context_id: str, transcript: str, *, more: bool = False, **fields: Any) -> dict[str, Any]:
    """A message with what stock clients put into each."""
    return {
        "context_id": context_id,
        "model_id": "sonic-3",
        "transcript": transcript,
        "continue": more,
        "voice": {"mode": "id", "id": "amy"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE},
        "language": "en",
        **fields,
    }


class Talk:
    """A client that keeps the contexts apart by their names alone."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.heard: list[dict[str, Any]] = []

    async def say(self, context_id: str, transcript: str, *, more: bool = False, **fields: Any) -> None:
        await self.send(message(context_id, transcript, more=more, **fields))

    async def send(self, raw: dict[str, Any] | str) -> None:
        await self._connection.send(raw if isinstance(raw, str) else json.dumps(raw))

    async def next(self) -> dict[str, Any]:
        data = await asyncio.wait_for(self._connection.recv(), PATIENCE_S)
        assert isinstance(data, str)
        self.heard.append(json.loads(data))
        return self.heard[-1]

    async def until(self, kind: str, context_id: str) -> dict[str, Any]:
        """The next message of this kind and context; one that ends it early fails."""
        while True:
            told = await self.next()
            if told["context_id"] == context_id and told["type"] in (kind, *ENDS):
                assert told["type"] == kind, told
                return told

    async def whole(self, context_id: str, transcript: str, **fields: Any) -> bytes:
        """The samples of an utterance that is sent at once."""
        since = len(self.heard)
        await self.say(context_id, transcript, **fields)
        await self.until("done", context_id)
        return self.samples(context_id, since)

    def of(self, context_id: str, kind: str, since: int = 0) -> list[dict[str, Any]]:
        return [told for told in self.heard[since:] if (told["context_id"], told["type"]) == (context_id, kind)]

    def samples(self, context_id: str, since: int = 0) -> bytes:
        chunks = self.of(context_id, "chunk", since)
        return b"".join(base64.b64decode(chunk["data"], validate=True) for chunk in chunks)


@contextlib.asynccontextmanager
async def connected(service: Service) -> AsyncIterator[Talk]:
    url = f"ws://{service.address}/tts/websocket?cartesia_version=2025-04-16"
    async with connect(url, compression=None, max_size=None, additional_headers={"X-API-Key": "none"}) as connection:
        yield Talk(connection)


@pytest_asyncio.fixture(loop_scope="session")
async def talk(resting: Service) -> AsyncIterator[Talk]:
    async with connected(resting) as talking:
        yield talking


@pytest.fixture
def tap(resting: Service) -> Iterator[Tap]:
    yield Tap(resting.gateway.engine)
    del resting.gateway.engine.submit


async def test_clauses_come_back_to_back_as_the_engine_made_them(talk: Talk, tap: Tap) -> None:
    for words in (FIRST, SECOND):
        for word in words.split():
            await talk.say("a", f"{word} ", more=True)
    await talk.say("a", THIRD, more=True)
    await talk.say("a", "")
    await talk.until("done", "a")
    assert tap.texts == [FIRST.strip(), SECOND.strip(), THIRD]
    assert len(tap.made(FIRST, SECOND, THIRD)) > RATE
    assert talk.samples("a") == tap.made(FIRST, SECOND, THIRD)


async def test_speech_starts_with_the_first_clause_while_the_rest_is_still_to_come(talk: Talk) -> None:
    await talk.say("a", FIRST, more=True)
    await talk.say("a", "Bring", more=True)
    chunk = await talk.until("chunk", "a")
    assert (chunk["status_code"], chunk["done"]) == (206, False)
    assert chunk["step_time"] > 0
    await talk.say("a", " a coat.")
    assert (await talk.until("done", "a")) == {"type": "done", "context_id": "a", "status_code": 200, "done": True}


async def test_contexts_side_by_side_never_mix(talk: Talk, tap: Tap) -> None:
    formats = {"a": ("pcm_s16le", 24000), "b": ("pcm_mulaw", 8000), "c": ("pcm_f32le", 44100)}
    texts = {"a": "One goes to the harbour.", "b": "Two stays at the lighthouse.", "c": "Three takes the late ship."}
    for part in range(2):
        for name, (encoding, rate) in formats.items():
            middle = len(texts[name]) // 2
            piece = texts[name][middle:] if part else texts[name][:middle]
            wanted = {"container": "raw", "encoding": encoding, "sample_rate": rate}
            await talk.say(name, piece, more=not part, output_format=wanted, add_timestamps=True)
    for name in texts:
        while not talk.of(name, "done"):
            await talk.next()
    assert not [told for told in talk.heard if told["type"] == "error"]
    for name, (encoding, rate) in formats.items():
        encoder = SpeechEncoder(encoding, rate)  # type: ignore[arg-type]
        assert talk.samples(name) == encoder.push(tap.made(texts[name])) + encoder.flush()
        words = [word for told in talk.of(name, "timestamps") for word in told["word_timestamps"]["words"]]
        assert words == texts[name].split()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
async def test_samples_come_as_they_were_asked_for(talk: Talk, tap: Tap, encoding: Any, rate: int) -> None:
    wanted = {"container": "raw", "encoding": encoding, "sample_rate": rate}
    heard = await talk.whole("a", "Nine.", output_format=wanted)
    encoder = SpeechEncoder(encoding, rate)
    assert heard == encoder.push(tap.made("Nine.")) + encoder.flush()


async def test_a_flush_speaks_half_a_sentence_and_is_answered_after_its_last_sample(talk: Talk, tap: Tap) -> None:
    await talk.say("a", "The train leaves ", more=True, flush=True)
    assert (await talk.until("flush_done", "a"))["flush_id"] == 1
    assert talk.samples("a") == tap.made("The train leaves")
    await talk.say("a", "at nine ", more=True, flush=True)
    told = await talk.until("flush_done", "a")
    assert told == {
        "type": "flush_done",
        "context_id": "a",
        "flush_id": 2,
        "flush_done": True,
        "status_code": 206,
        "done": False,
    }
    await talk.say("a", "sharp.")
    await talk.until("done", "a")
    by_flush = dict.fromkeys((1, 2, 3), b"")
    for chunk in talk.of("a", "chunk"):
        by_flush[chunk["flush_id"]] += base64.b64decode(chunk["data"])
    assert by_flush == {
        1: tap.made("The train leaves"),
        2: tap.made("at nine"),
        3: tap.made("sharp."),
    }


async def test_without_a_buffer_delay_every_message_is_spoken_as_it_is(talk: Talk, tap: Tap) -> None:
    await talk.say("a", "Yes.", more=True, max_buffer_delay_ms=0)
    await talk.say("a", "The train,", more=True, max_buffer_delay_ms=0)
    await talk.say("a", " ", max_buffer_delay_ms=0)
    await talk.until("done", "a")
    assert tap.texts == ["Yes.", "The train,"]
    assert [told["flush_id"] for told in talk.of("a", "flush_done")] == [1, 2]


async def test_half_a_sentence_is_spoken_after_the_buffer_delay_that_was_asked_for(talk: Talk, tap: Tap) -> None:
    await talk.say("a", "The train leaves ", more=True, max_buffer_delay_ms=5000)
    await talk.say("b", "The tram leaves ", more=True, max_buffer_delay_ms=100)
    await talk.until("chunk", "b")
    assert tap.texts == ["The tram leaves"]


async def test_words_are_timed_as_they_were_sent_within_the_speech(talk: Talk) -> None:
    heard = await talk.whole("a", FIRST + SECOND, add_timestamps=True)
    told = [one["word_timestamps"] for one in talk.of("a", "timestamps")]
    assert all(len(one["words"]) == len(one["start"]) == len(one["end"]) == 1 for one in told)
    assert [one["words"][0] for one in told] == (FIRST + SECOND).split()
    starts = [one["start"][0] for one in told]
    assert starts == sorted(starts)
    assert starts[0] == 0.0
    assert starts[-1] <= len(heard) / 2 / RATE
    assert all(one["start"][0] <= one["end"][0] for one in told)


async def test_words_are_not_timed_unless_it_is_asked_for(talk: Talk) -> None:
    await talk.whole("a", FIRST)
    assert {told["type"] for told in talk.heard} == {"chunk", "done"}


async def test_a_cancelled_context_is_silent_and_the_one_beside_it_is_not(
    talk: Talk, tap: Tap, resting: Service
) -> None:
    await talk.say("a", LONG)
    await talk.until("chunk", "a")
    await talk.say("b", FIRST, more=True)
    await talk.send({"context_id": "a", "cancel": True})
    await talk.until("chunk", "b")
    await eventually(lambda: len(resting.gateway.engine._router) <= 1, "the cancelled speech is no longer made")
    since = len(talk.heard)
    await talk.say("b", SECOND)
    await talk.until("done", "b")
    assert {told["context_id"] for told in talk.heard[since:]} == {"b"}
    assert talk.samples("b") == tap.made(FIRST, SECOND)
    assert not talk.of("a", "done")


async def test_a_name_is_free_at_once_after_its_context_was_cancelled(talk: Talk, tap: Tap) -> None:
    await talk.say("a", LONG)
    await talk.send({"context_id": "a", "cancel": True})
    await talk.say("a", "Hello again.")
    await talk.until("done", "a")
    assert talk.samples("a") == tap.made("Hello again.")


async def test_a_name_is_free_after_its_context_is_done(talk: Talk, tap: Tap) -> None:
    await talk.whole("a", FIRST)
    assert await talk.whole("a", THIRD) == tap.made(THIRD)


async def test_cancelling_what_is_not_there_is_no_error(talk: Talk) -> None:
    await talk.send({"context_id": "nobody", "cancel": True})
    await talk.whole("a", "Nine.")
    assert {told["context_id"] for told in talk.heard} == {"a"}


async def test_a_context_without_words_is_done_and_silent(talk: Talk) -> None:
    await talk.say("a", "", more=True)
    await talk.say("a", " ")
    assert (await talk.next())["type"] == "done"


async def test_a_voice_may_be_left_to_the_server(talk: Talk) -> None:
    await talk.whole("a", "Nine.", voice={"mode": "id", "id": None})
    await talk.whole("b", "Nine.", voice=None)
    assert await talk.whole("c", "Nine.", voice="alloy")


async def test_speed_shortens_what_is_heard(talk: Talk, tap: Tap) -> None:
    heard = await talk.whole("a", FIRST, generation_config={"speed": 1.5, "volume": 1})
    assert len(heard) == pytest.approx(len(tap.made(FIRST)) / 1.5, rel=0.02)


async def test_an_emotion_describes_the_speaker_in_the_scene(talk: Talk, tap: Tap) -> None:
    await talk.whole("a", "Nine.", generation_config={"emotion": "Happy"})
    await talk.whole("b", "Nine.", generation_config={"emotion": "neutral"})
    assert [request.voicing.scene for request in tap.requests] == ["The speaker sounds happy.", ""]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"transcript": 7}, "transcript", "invalid_value"),
    ({"transcript": "x" * 20_001}, "transcript", "invalid_value"),
    ({"transcripts": "x"}, "transcripts", "unknown_parameter"),
    ({"continue": "yes"}, "continue", "invalid_value"),
    ({"voice": {"mode": "id", "id": "ammy"}}, "voice.id", "invalid_value"),
    ({"voice": {"mode": "id", "id": "item:item_1"}}, "voice.id", "invalid_value"),
    ({"voice": {"mode": "embedding", "embedding": [0.1]}}, "voice.mode", "invalid_value"),
    ({"output_format": {"container": "wav", "encoding": "pcm_s16le"}}, "output_format.container", "invalid_value"),
    ({"output_format": {"encoding": "opus", "sample_rate": 8000}}, "output_format.encoding", "invalid_value"),
    ({"output_format": {"encoding": "pcm_s16le", "sample_rate": 96000}}, "output_format.sample_rate", "invalid_value"),
    ({"output_format": {"encoding": "pcm_s16le"}}, "output_format.sample_rate", "missing_required_parameter"),
    ({"generation_config": {"speed": 9}}, "generation_config.speed", "invalid_value"),
    ({"generation_config": {"volume": 1.5}}, "generation_config.volume", "invalid_value"),
    ({"generation_config": {"emotion": "a\nb"}}, "generation_config.emotion", "invalid_value"),
    ({"max_buffer_delay_ms": 5001}, "max_buffer_delay_ms", "invalid_value"),
    ({"add_phoneme_timestamps": True}, "add_phoneme_timestamps", "invalid_value"),
    ({"use_normalized_timestamps": True}, "use_normalized_timestamps", "invalid_value"),
    ({"pronunciation_dict_id": "d"}, "pronunciation_dict_id", "invalid_value"),
]


@pytest.mark.parametrize(("change", "field", "code"), WRONG, ids=[f"{field} {code}" for _, field, code in WRONG])
async def test_what_cannot_be_honoured_is_refused_by_name(
    talk: Talk, change: dict[str, Any], field: str, code: str
) -> None:
    await talk.send({**message("a", "Nine."), **change})
    told = await talk.next()
    assert (told["type"], told["context_id"], told["status_code"]) == ("error", "a", 400)
    assert (told["param"], told["error_code"], told["done"]) == (field, code, False)
    assert told["message"].endswith((".", "?"))
    assert told["title"]
    await talk.whole("a", "Nine.")  # the name and the connection are as good as before


@pytest.mark.parametrize("raw", ["{", "[]", "7", "{}", '{"context_id": ""}', '{"context_id": 7, "cancel": true}'])
async def test_a_message_without_a_context_is_an_error_without_one(talk: Talk, raw: str) -> None:
    await talk.send(raw)
    told = await talk.next()
    assert (told["type"], told["context_id"], told["status_code"]) == ("error", None, 400)
    await talk.whole("a", "Nine.")


async def test_a_message_that_is_too_large_is_refused_before_it_is_read(talk: Talk) -> None:
    await talk.send(json.dumps({"context_id": "a", "transcript": "x" * 300_000}))
    assert (await talk.next())["error_code"] == "message_too_large"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"voice": {"mode": "id", "id": "bob"}}, "voice"),
        ({"output_format": {"encoding": "pcm_s16le", "sample_rate": 8000}}, "output_format"),
        ({"transcript": None}, "transcript"),
    ],
)
async def test_a_refused_message_is_the_end_of_its_context(talk: Talk, change: dict[str, Any], field: str) -> None:
    await talk.say("a", LONG, more=True)
    await talk.until("chunk", "a")
    await talk.send({**message("a", "More. ", more=True), **change})
    while (told := await talk.next())["type"] != "error":
        assert told["type"] == "chunk"
    assert told["param"] == field
    since = len(talk.heard)
    await talk.say("a", "And more. ", more=True)
    await talk.say("a", "")
    assert [(await talk.next())["error_code"] for _ in range(2)] == ["context_failed", "context_failed"]
    await talk.whole("a", "Nine.")
    assert not [told for told in talk.heard[since : since + 2] if told["type"] == "chunk"]


async def test_a_context_that_fails_in_the_middle_is_spoken_no_further(resting: Service, talk: Talk) -> None:
    await talk.say("long", LONG * 20, more=True)
    await talk.until("chunk", "long")
    await talk.say("long", LONG * 20, more=True)
    failed = await talk.until("error", "long")
    assert failed["error_code"] == "string_above_max_length"
    await eventually(lambda: resting.gateway.engine.gauges.slots == 0, "nobody speaks to nobody")
    assert await talk.whole("next", FIRST)


async def test_words_after_the_last_ones_are_refused(talk: Talk) -> None:
    await talk.say("a", LONG)
    await talk.say("a", "More. ", more=True)
    while (told := await talk.next())["type"] != "error":
        assert told["type"] == "chunk"
    assert (told["error_code"], told["param"]) == ("context_ended", "context_id")
    await talk.whole("a", "Nine.")


async def test_there_is_a_limit_to_the_contexts_of_a_connection(resting: Service) -> None:
    most = resting.gateway.sessions.limits.max_out_of_band
    async with connected(resting) as talk:
        for number in range(most):
            await talk.say(f"c{number}", "", more=True)
        await talk.say("beyond", "Nine.")
        told = await talk.next()
        assert (told["type"], told["context_id"], told["status_code"]) == ("error", "beyond", 429)
        await talk.say("c0", "")
        await talk.until("done", "c0")
        await talk.whole("beyond", "Nine.")


async def test_a_client_that_leaves_leaves_nothing_behind(resting: Service) -> None:
    async with connected(resting) as talk:
        for name in ("a", "b", "c"):
            await talk.say(name, LONG, more=True)
        await talk.until("chunk", "c")
    await eventually(lambda: idle(resting.gateway), "all given back")
