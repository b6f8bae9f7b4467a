"""Scope: turns over real sockets, a real engine process behind: every way to a voice, both encodings, interruption."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime.commands.serve import running
from realtime.config import Config
from realtime.engine.load import load_engine
from realtime.engine.messages import Audio, EngineConfig
from realtime.request import Sampling, Speak
from realtime.text import front_end
from tests.serving.wire import (
    LONG,
    RATE,
    Footprint,
    Service,
    Spoken,
    assert_back_to,
    eventually,
    get,
    noise_clip,
    wire,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "Good evening."
BOTH = pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
ORDER = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


def _in_process(config: Config, text: str, seed: int) -> bytes:
    """What the engine itself makes of the same request."""
    engine, _ = load_engine(
        EngineConfig(config.model, device="cpu", threads=1, slots=config.slots), front_end, lambda stage: None
    )
    engine.submit(Speak("r", text, sampling=Sampling(greedy=True), seed=seed, paced=False), 0.0)
    now, pcm = 0.0, b""
    while engine.wake_at(now) is not None:
        now += 0.01
        pcm += b"".join(event.pcm for event in engine.step(now).events if isinstance(event, Audio))
    engine.close()
    return pcm


async def test_the_same_words_are_the_same_samples_over_json_over_msgpack_and_in_process(
    resting: Service, server_config: Config
) -> None:
    spoken = []
    for binary in (False, True):
        async with wire(resting, binary=binary) as talk:
            spoken.append(await talk.say(TEXT))
    expected = _in_process(server_config, TEXT, 1)
    assert len(expected) > RATE // 2
    assert np.unique(np.frombuffer(expected, "<i2")).size > 100
    assert spoken[0].pcm == expected
    assert spoken[1].pcm == expected


@BOTH
async def test_a_response_over_the_wire_has_its_order_its_words_and_its_numbers(resting: Service, binary: bool) -> None:
    async with wire(resting, binary=binary) as talk:
        spoken = await talk.say(TEXT)
    kinds = [event["type"] for event in spoken.events]
    assert list(dict.fromkeys(kinds)) == ORDER
    assert [delta["delta"] for delta in spoken.deltas] == ["Good", " evening."]
    response = spoken.response
    assert response["status"] in ("completed", "incomplete")
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": TEXT}]
    assert response["usage"]["output_tokens"] * 960 >= spoken.samples > 0
    assert response["usage"]["input_tokens"] > 10


async def test_every_way_to_a_voice_is_reachable_and_differs(resting: Service) -> None:
    ways: dict[str, Any] = {}
    async with wire(resting) as talk:
        ways["smart voice"] = await talk.say(TEXT)
    async with wire(resting) as talk:
        await talk.ask("session.update", "session.updated", session={"instructions": "A station.\nRain outside."})
        ways["scene"] = await talk.say(TEXT)
    async with wire(resting) as talk:
        await talk.item("system", "Speak slowly.")
        ways["system"] = await talk.say(TEXT)
    async with wire(resting) as talk:
        ways["dialogue"] = await talk.say("[SPEAKER0] Good evening. [SPEAKER1] Good night.")
        assert ways["dialogue"].response["output"][0]["content"][0]["transcript"].endswith("[SPEAKER1] Good night.")
    async with wire(resting) as talk:
        updated = await talk.ask(
            "session.update", "session.updated", session={"type": "realtime", "audio": {"output": {"voice": "amy"}}}
        )
        assert updated["session"]["audio"]["output"]["voice"] == "amy"
        ways["registered voice"] = await talk.say(TEXT)
    async with wire(resting) as talk:
        ways["several voices"] = await talk.say(
            "[SPEAKER0] Good evening. [SPEAKER1] Good night.", speakers={"SPEAKER0": "amy", "SPEAKER1": "bob"}
        )
    for binary in (False, True):
        async with wire(resting, binary=binary) as talk:
            clip = talk.audio(noise_clip(7))
            item = await talk.item("assistant", {"type": "output_audio", "audio": clip, "transcript": "My words."})
            assert item["content"] == [{"type": "output_audio", "transcript": "My words."}]
            ways[f"clip sent along, binary={binary}"] = await talk.say(TEXT)
    async with wire(resting) as talk:
        clip = talk.audio(noise_clip(7))
        item = await talk.item("user", {"type": "input_audio", "audio": clip, "transcript": "My words."})
        ways["voice of an item"] = await talk.say(
            "[SPEAKER0] Good evening.", speakers={"SPEAKER0": f"item:{item['id']}"}
        )

    assert all(spoken.samples > RATE // 2 for spoken in ways.values()), {k: v.response for k, v in ways.items()}
    same = ways.pop("clip sent along, binary=True").pcm
    assert ways["clip sent along, binary=False"].pcm == same
    assert len({spoken.pcm for spoken in ways.values()}) == len(ways)


async def test_long_text_goes_on_from_clause_to_clause_and_reuses_what_was_computed(resting: Service) -> None:
    text = LONG[: len(LONG) // 2].rstrip()
    async with wire(resting, binary=True) as talk:
        await talk.start(text, voiced={"paced": False, "seed": 3})
        spoken = Spoken(await talk.until("response.done"))
    assert len(spoken.deltas) >= 2
    assert "".join(delta["delta"] for delta in spoken.deltas) == text
    assert spoken.response["output"][0]["content"][0]["transcript"] == text
    before, last = 0, 0.0
    for event in spoken.events:
        if event["type"] == "response.output_audio_transcript.delta":
            # a word comes before the chunk (of at most eight frames) that it begins in, never after its clause
            assert last <= event["start_time"] <= before / RATE + 8 * 0.04
            last = event["start_time"]
        elif event["type"] == "response.output_audio.delta":
            before += len(event["delta"]) // 2
    assert before == spoken.samples
    # nothing is lost at a border: a clause's frames are all there, and the second builds on the first
    usage = spoken.response["usage"]
    assert spoken.samples == usage["output_tokens"] * 960
    assert spoken.cached > usage["input_tokens"] // 4


async def test_a_second_turn_builds_on_the_first(resting: Service) -> None:
    async with wire(resting, binary=True) as talk:
        for seed in range(20):  # speech that ended by itself is built on, speech that was cut off is not
            first = await talk.say(TEXT, greedy=False, temperature=1.0, seed=seed)
            if first.response["status"] == "completed":
                break
        assert first.response["status"] == "completed"
        second = await talk.say(TEXT)
    assert second.cached > first.cached
    assert second.response["usage"]["input_tokens"] > first.response["usage"]["input_tokens"]


async def test_conversations_at_the_same_time_do_not_mix(resting: Service) -> None:
    texts = [f"Number {word} is speaking." for word in ("one", "two", "three", "four")]

    async def alone(text: str, binary: bool) -> tuple[bytes, str]:
        async with wire(resting, binary=binary) as talk:
            spoken = await talk.say(text)
        return spoken.pcm, spoken.response["output"][0]["content"][0]["transcript"]

    together = await asyncio.gather(*(alone(text, index % 2 == 0) for index, text in enumerate(texts)))
    solo = [await alone(text, True) for text in texts]
    assert [words for _, words in together] == texts
    for text, (one, _), (other, _) in zip(texts, together, solo, strict=True):
        assert len(one) == len(other), text
        differ = np.abs(np.frombuffer(one, "<i2").astype(int) - np.frombuffer(other, "<i2"))
        assert differ.max() <= 1, f"{text}: {differ.max()} at {np.flatnonzero(differ > 1)[0]} of {len(differ)}"
    assert len({pcm for pcm, _ in solo}) == len(texts)


@BOTH
async def test_speech_that_is_interrupted_stops_and_the_history_is_what_was_heard(
    resting: Service, binary: bool
) -> None:
    async with wire(resting, binary=binary) as talk:
        response = await talk.start(LONG)
        before = await talk.until("response.output_audio.delta", 12)
        item = before[0]["item"]["id"]
        await asyncio.sleep(0.5)  # the listener hears more than it will say it heard
        await talk.send("response.cancel", response_id=response, event_id="stop")
        stopped = Spoken(before + await talk.until("response.done"))
        assert stopped.response["status"] == "cancelled"
        assert stopped.response["status_details"]["reason"] == "client_cancelled"
        usage = stopped.response["usage"]
        assert usage["output_tokens"] * 960 >= stopped.samples > 0
        assert usage["input_tokens"] > 10
        heard = stopped.response["output"][0]["content"][0]["transcript"]
        assert LONG.startswith(heard)
        assert len(heard) < len(LONG) // 2

        await talk.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=100)
        await talk.send("response.create", response={"voiced": {"paced": False, "greedy": True}})
        after = await talk.until("response.done")
        assert after[0]["type"] == "conversation.item.truncated"
        assert not [e for e in after if e["type"].endswith("audio.delta") and e["response_id"] == response]
        assert after[-1]["response"]["status"] in ("completed", "incomplete")
        retrieved = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id=item)
        cut = retrieved["item"]["content"][0]["transcript"]
        assert heard.startswith(cut)


async def test_speech_to_a_listener_is_not_made_far_ahead(resting: Service, server_config: Config) -> None:
    async with wire(resting, binary=True) as talk:
        await talk.start(LONG)
        began, samples = asyncio.get_running_loop().time(), 0
        while asyncio.get_running_loop().time() - began < 2.0:
            event = await talk.next()
            samples += len(event["delta"]) // 2 if event["type"] == "response.output_audio.delta" else 0
            ahead = samples / RATE - (asyncio.get_running_loop().time() - began)
            assert ahead < server_config.max_lead_s + 1.0
        await talk.send("response.cancel")
        await talk.until("response.done")


# --- the connection ---


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["realtime"], "realtime"),
        (["realtime", "openai-insecure-api-key.x", "openai-agents-sdk.0.20"], "realtime"),
        (["voiced.msgpack"], "voiced.msgpack"),
        (["realtime", "voiced.msgpack"], "voiced.msgpack"),
        (None, None),
    ],
)
async def test_the_sub_protocol_is_one_that_was_offered(resting: Service, offered: Any, chosen: str | None) -> None:
    async with connect(resting.url, subprotocols=offered, compression=None) as connection:
        assert connection.subprotocol == chosen
        assert isinstance(await connection.recv(), bytes) == (chosen == "voiced.msgpack")


async def test_compression_is_off(resting: Service) -> None:
    async with connect(resting.url) as connection:
        assert connection.protocol.extensions == []


@BOTH
async def test_the_wrong_kind_of_message_is_one_error_and_the_session_lives(resting: Service, binary: bool) -> None:
    async with wire(resting, binary=binary) as talk:
        await talk.connection.send("{}" if binary else b"\x80")
        error = await talk.next()
        assert (error["type"], error["error"]["code"]) == ("error", "wrong_message_kind")
        assert (await talk.say(TEXT)).samples > 0


BAD = [
    ("{", "invalid_json", None),
    ('{"type": "response.create", "response": NaN}', "invalid_json", None),
    ('[{"type": "response.cancel"}]', "invalid_value", None),
    ('{"type": "response.creat"}', "unknown_event", "type"),
    ('{"type": "response.create", "respons": {}}', "unknown_parameter", "respons"),
    ('{"type": "conversation.item.delete"}', "missing_required_parameter", "item_id"),
    ('{"type": "session.update", "session": {"audio": {"output": {"voice": "ammy"}}}}', "invalid_value", None),
    ('{"type": "session.update", "session": {"voiced": {"temperature": 1e999}}}', None, None),
    ('{"type": "session.update", "session": {"voiced": {"temperature": "hot"}}}', "invalid_value", None),
    (
        '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", '
        '"content": [{"type": "input_text", "text": " "}]}}',
        "invalid_value",
        "item.content[0].text",
    ),
    (
        '{"type": "conversation.item.create", "item": {"type": "message", "role": "assistant", '
        '"content": [{"type": "output_audio", "audio": "@@@", "transcript": "x"}]}}',
        "invalid_value",
        "item.content[0].audio",
    ),
    ("[" * 100_000, None, None),
    ('{"type": "session.update", "session": {"tools": ' + "[" * 100_000, "invalid_json", None),
    ('{"type": "response.cancel"}', "response_cancel_not_active", None),
]


async def test_every_bad_input_is_one_clear_error_and_the_session_lives(resting: Service) -> None:
    async with wire(resting) as talk:
        for message, code, param in BAD:
            await talk.connection.send(message)
            await talk.send("session.update", session={})
            error, updated = await talk.next(), await talk.next()
            assert error["type"] == "error", (message[:80], error)
            assert updated["type"] == "session.updated", message[:80]
            assert code is None or error["error"]["code"] == code, (message[:80], error)
            assert param is None or error["error"]["param"] == param
            assert error["error"]["message"].endswith((".", "?"))
        assert (await talk.say(TEXT)).samples > 0


async def test_a_text_that_no_engine_can_speak_fails_with_a_reason(resting: Service) -> None:
    async with wire(resting) as talk:
        await talk.send("response.create")
        events = await talk.until("response.done")
        error = events[-1]["response"]["status_details"]["error"]
        assert (events[-1]["response"]["status"], error["code"]) == ("failed", "nothing_to_say")
        await talk.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "?!"}]},
        )
        await talk.until("conversation.item.done")
        await talk.send("response.create")
        response = (await talk.until("response.done"))[-1]["response"]
        error = response["status_details"]["error"]
        assert (response["status"], error["code"]) == ("failed", "nothing_to_say")
        assert "no word to speak" in error["message"]


@BOTH
async def test_a_message_over_the_limit_closes_with_1009(resting: Service, binary: bool) -> None:
    async with wire(resting, binary=binary) as talk:
        huge = "x" * (4 * 1024 * 1024 + 1)
        with pytest.raises(ConnectionClosed) as closed:
            await talk.connection.send(huge.encode() if binary else huge)
            await talk.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_a_message_of_allowed_size_that_is_no_event_is_one_error(resting: Service) -> None:
    async with wire(resting) as talk:
        await talk.send("session.update", session={"instructions": "x" * 4_000_000})
        error = await talk.next()
        assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", "session.instructions")
        assert len(json.dumps(error)) < 2000


# --- who may connect, and when ---


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True),
        ("https://friend.example", True),
        ("http://{address}", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://friend.example", False),
        ("https://friend.example.evil.example", False),
    ],
)
async def test_browsers_may_connect_from_here_and_from_where_it_is_allowed(
    resting: Service, origin: str | None, welcome: bool
) -> None:
    given = None if origin is None else origin.format(address=resting.address)
    if welcome:
        async with wire(resting, origin=given):
            return
    with pytest.raises(InvalidStatus) as refused:
        async with wire(resting, origin=given):
            pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["error"]["code"] == "origin_not_allowed"


async def test_one_connection_too_many_is_refused_with_503(resting: Service, server_config: Config) -> None:
    open_ones = [await connect(resting.url) for _ in range(server_config.max_sessions)]
    try:
        await eventually(lambda: len(resting.gateway.sessions) == server_config.max_sessions, "all connected")
        with pytest.raises(InvalidStatus) as refused:
            await connect(resting.url)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        assert json.loads(refused.value.response.body)["error"]["code"] == "too_many_sessions"
    finally:
        await asyncio.gather(*(connection.close() for connection in open_ones))
    await eventually(lambda: not resting.gateway.sessions, "all gone")
    async with wire(resting) as talk:
        assert (await talk.say(TEXT)).samples > 0


async def test_more_voices_than_slots_wait_or_are_told(resting: Service) -> None:
    """Nine at once on eight slots: each is spoken or is told `overloaded`; none is lost."""

    async def one(index: int) -> str:
        async with wire(resting, binary=True) as talk:
            spoken = await talk.say(f"Voice number {index}.")
        if spoken.response["status"] == "failed":
            assert spoken.response["status_details"]["error"]["code"] == "overloaded"
        else:
            assert spoken.samples > 0
        return str(spoken.response["status"])

    outcomes = await asyncio.gather(*(one(index) for index in range(9)))
    assert len([outcome for outcome in outcomes if outcome != "failed"]) >= 8


async def test_health_and_readiness_say_what_runs(resting: Service) -> None:
    assert (await get(resting, "/healthz"))[:2] == (200, {"status": "ok"})
    status, body, _ = await get(resting, "/readyz")
    assert (status, body["status"]) == (200, "ready")
    assert body["engine"]["kind"] == "noise"
    assert body["gauges"]["requests"] == 0
    assert body["sessions"] == 0


async def test_while_it_loads_it_is_alive_not_ready_and_refuses_calls(server_config: Config) -> None:
    before = Footprint.now()
    async with running(server_config) as (_, gateway, url):
        service = Service(gateway, url)
        assert (await get(service, "/healthz"))[0] == 200
        status, body, headers = await get(service, "/readyz")
        assert (status, body["error"]) == (503, None)
        assert body["status"] != "ready"
        assert any(name.lower() == "retry-after" for name in headers)
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == 503
        assert json.loads(refused.value.response.body)["error"]["code"] == "engine_not_ready"
        # and a server can be stopped while its engine loads
    await assert_back_to(before, gateway)


async def test_an_engine_that_cannot_load_says_why_and_the_server_stays_up(tmp_path: Path) -> None:
    before = Footprint.now()
    async with running(Config(port=0, model=str(tmp_path / "nothing"), threads=1)) as (_, gateway, url):
        service = Service(gateway, url)
        with pytest.raises(RuntimeError, match="nothing"):
            await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        status, body, _ = await get(service, "/readyz")
        assert (status, body["status"]) == (503, "failed")
        assert "nothing" in body["error"]
        assert (await get(service, "/healthz"))[0] == 200
    await assert_back_to(before, gateway)
