"""Scope: what `/metrics` says of a gateway, from its objects: both formats, what is read when asked, all meters."""

import asyncio
from typing import get_args

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from starlette.requests import Request
from starlette.responses import Response

from protocol.server_events import InputTimeout, SpeechStopped
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineConfig, EngineInfo, Gauges
from realtime.http.routes.metrics import MetricsRoutes
from realtime.metrics.registry import Metrics
from realtime.metrics.scraped import OpenSession
from realtime.metrics.session_meters import Transport
from realtime.metrics.webrtc_meters import PacketTotals
from tests.serving.scrape import Scraped

INFO = EngineInfo(
    checkpoint="tiny",
    kind="noise",
    device="cpu",
    dtype="float32",
    attention="sdpa",
    decoder="low-latency",
    look_ahead_frames=4,
    sample_rate=24000,
    samples_per_frame=960,
    max_slots=8,
    pages=512,
    page_size=16,
    max_clause_chars=400,
    max_scene_chars=400,
    front_end="",
    clip_voices=[],
    scene_voices={},
    default_voice="",
    threads=1,
)


class House:
    """A gateway's metrics over an engine that stands where it is put."""

    def __init__(self) -> None:
        self.engine = EngineProcess(EngineConfig())
        self.sessions: list[OpenSession] = []
        self.metrics = Metrics(self.engine, lambda: self.sessions)

    async def page(self, accept: str = "") -> Response:
        headers = [(b"accept", accept.encode())] if accept else []
        scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": headers}
        return await MetricsRoutes(self.metrics.registry).show(Request(scope))

    async def scrape(self) -> Scraped:
        return Scraped(bytes((await self.page()).body).decode())


async def test_the_page_is_prometheus_text_and_each_metric_says_what_it_is() -> None:
    house = House()
    page = await house.page()
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    scraped = Scraped(bytes(page.body).decode())
    assert scraped.kinds["voiced_first_audio_seconds"] == "histogram"
    assert scraped.kinds["voiced_responses"] == "counter"
    assert scraped.kinds["voiced_sessions"] == "gauge"
    assert scraped.value("process_resident_memory_bytes") > 1e6
    for name, told in scraped.told.items():
        assert name.startswith(("voiced_", "process_"))
        assert told.endswith("."), name


@pytest.mark.parametrize("accept", ["", "version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3", "version=new"])
async def test_who_accepts_the_open_format_gets_it(accept: str) -> None:
    house = House()
    page = await house.page(f"application/openmetrics-text;{accept}")
    assert page.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    text = bytes(page.body).decode()
    assert text.endswith("# EOF\n")
    assert text.count("# EOF") == 1
    named = {name for name in (await house.scrape()).kinds if not name.endswith("_created")}
    assert {family.name for family in open_families(text)} == named


async def test_the_page_lets_others_go_on_while_it_is_written() -> None:
    house, turns = House(), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await house.page()
    beside.cancel()
    assert turns > 20


async def test_sessions_are_those_that_are_open_when_asked() -> None:
    house = House()
    house.sessions += [OpenSession("websocket", 2), OpenSession("websocket", 3), OpenSession("webrtc", 0)]
    scraped = await house.scrape()
    assert scraped.value("voiced_sessions", transport="websocket") == 2
    assert scraped.value("voiced_sessions", transport="webrtc") == 1
    assert scraped.value("voiced_outbox_messages", transport="websocket") == 5
    house.sessions.clear()
    scraped = await house.scrape()
    left = [scraped.value("voiced_sessions", transport=transport) for transport in get_args(Transport)]
    assert left == [0] * len(get_args(Transport))
    assert scraped.labels()["transport"] == set(get_args(Transport)), "all are there before the first session"


async def test_an_engine_that_is_not_ready_has_no_capacity_to_show() -> None:
    house = House()
    house.engine.restarts = 2
    scraped = await house.scrape()
    assert scraped.value("voiced_engine_ready") == 0
    assert scraped.value("voiced_engine_restarts_total") == 2
    assert not scraped.has("voiced_engine_slots")
    assert not scraped.has("voiced_engine_process_resident_memory_bytes")


async def test_the_engine_is_shown_where_it_stands() -> None:
    house = House()
    house.engine.info = INFO
    house.engine.gauges = Gauges(5, slots=4, pages_held=37, contexts=2, steps=900, rows=3000, step_ms=12.5)
    scraped = await house.scrape()
    for name, value in {
        "ready": 1,
        "requests": 5,
        "slots_used": 4,
        "slots": 8,
        "kv_pages_held": 37,
        "kv_pages": 512,
        "contexts": 2,
        "steps_total": 900,
        "rows_total": 3000,
        "step_seconds": 0.0125,
    }.items():
        assert scraped.value(f"voiced_engine_{name}") == pytest.approx(value), name
    told = {"checkpoint": "tiny", "kind": "noise", "device": "cpu", "dtype": "float32", "decoder": "low-latency"}
    assert scraped.value("voiced_engine_info", **told) == 1


async def test_lag_is_a_distribution_and_a_worst() -> None:
    house = House()
    now = asyncio.get_running_loop().time()
    for late_s in (0.0004, 0.3, 0.0015):
        house.metrics.lagged(late_s, now)
    scraped = await house.scrape()
    assert scraped.value("voiced_event_loop_lag_seconds_bucket", le="0.001") == 1
    assert scraped.value("voiced_event_loop_lag_seconds_bucket", le="0.002") == 2
    assert scraped.value("voiced_event_loop_lag_seconds_count") == 3
    assert scraped.value("voiced_event_loop_lag_worst_seconds") == 0.3


async def test_refusals_and_turns_are_counted_from_zero() -> None:
    house = House()
    assert (await house.scrape()).has("voiced_sessions_refused_total")
    house.metrics.refused("too_many_sessions")
    meters = house.metrics.session_meters("webrtc", 24000)
    meters.told(SpeechStopped(event_id="e", audio_end_ms=1200, item_id="item_1"), 1.0)
    meters.told(InputTimeout(event_id="e", audio_start_ms=1200, audio_end_ms=9000, item_id="item_2"), 9.0)
    scraped = await house.scrape()
    assert scraped.value("voiced_sessions_refused_total", reason="too_many_sessions") == 1
    assert scraped.value("voiced_sessions_refused_total", reason="engine_not_ready") == 0
    assert scraped.value("voiced_user_turns_total", transport="webrtc") == 1
    assert scraped.value("voiced_idle_timeouts_total", transport="webrtc") == 1


async def test_web_rtc_calls_are_measured_by_packet_and_by_call() -> None:
    house = House()
    calls = house.metrics.webrtc
    calls.connect_ended("connected")
    calls.connect_ended("never_connected")
    calls.call_closed("lost")
    for late_s in (-0.0001, 0.0012, 0.3):
        calls.packet_late(late_s)
    packets, others = calls.packets_of_call(), calls.packets_of_call()
    packets.look(PacketTotals(sent=50, received=48, lost=2, recovered=1, concealed=1, late=1, excess=4))
    others.look(PacketTotals(sent=10))
    packets.look(PacketTotals(sent=100, received=97, lost=3, recovered=1, concealed=2, late=1, undecodable=6, excess=9))
    calls.path(0.042, 0.03)
    calls.path(None, None)
    scraped = await house.scrape()
    prefix = "voiced_webrtc_"
    assert scraped.value(f"{prefix}connects_total", outcome="connected") == 1
    assert scraped.value(f"{prefix}connects_total", outcome="never_connected") == 1
    assert scraped.value(f"{prefix}calls_closed_total", reason="lost") == 1
    for name, value in {
        "sent": 110,
        "received": 97,
        "lost": 3,
        "recovered": 1,
        "concealed": 2,
        "late": 1,
        "undecodable": 6,
        "excess": 9,
    }.items():
        assert scraped.value(f"{prefix}packets_{name}_total") == value, name
    assert scraped.value(f"{prefix}packet_lateness_seconds_bucket", le="0.001") == 1
    assert scraped.value(f"{prefix}packet_lateness_seconds_bucket", le="0.1") == 2
    assert scraped.value(f"{prefix}packet_lateness_seconds_sum") == pytest.approx(0.3012)
    assert scraped.value(f"{prefix}round_trip_seconds_bucket", le="0.05") == 1
    assert scraped.value(f"{prefix}round_trip_seconds_count") == 1
    assert scraped.value(f"{prefix}outbound_loss_ratio_bucket", le="0.02") == 0
    assert scraped.value(f"{prefix}outbound_loss_ratio_bucket", le="0.05") == 1


async def test_gateways_of_one_process_count_apart() -> None:
    one, other = House(), House()
    one.metrics.refused("engine_not_ready")
    assert (await one.scrape()).value("voiced_sessions_refused_total", reason="engine_not_ready") == 1
    assert (await other.scrape()).value("voiced_sessions_refused_total", reason="engine_not_ready") == 0
