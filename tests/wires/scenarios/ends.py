"""Scope: the server full, measured and stopped: what is left to tell when all else was told."""

from __future__ import annotations

import asyncio
import contextlib

from prometheus_client.parser import text_string_to_metric_families

from tests.wires.asking import ask, handshake
from tests.wires.calling import SDP, caller
from tests.wires.offers import AUDIO, offer
from tests.wires.served import MAX_SESSIONS, Served
from tests.wires.shown import Json
from tests.wires.talking import LONG, PATIENCE_S, shown, talk, voiced


async def full(served: Served) -> Json:
    """All sessions are in use: the next one is told its place in line."""
    async with contextlib.AsyncExitStack() as stack:
        await _empty(served)
        for _ in range(MAX_SESSIONS):
            await stack.enter_async_context(talk(served))
        refused = {
            path: (await handshake(served.address, path, key=served.key)).shown()
            for path in (
                "/v1/realtime",
                "/v1/realtime/translations",
                "/tts/websocket",
                "/v1/realtime?ticket=0123456789",
            )
        }
        sdp = offer(AUDIO).encode()
        call = await ask(served.address, "POST", "/v1/realtime/calls", sdp, SDP, key=served.key)
        return {**refused, "/v1/realtime/calls": call.shown()}


async def metrics(served: Served) -> Json:
    """Every metric with its help, its kind and its labels; no values."""
    plain = await ask(served.address, "GET", "/metrics", key=served.key)
    wanted = {"Accept": "application/openmetrics-text"}
    open_format = await ask(served.address, "GET", "/metrics", headers=wanted, key=served.key)
    families: dict[str, Json] = {}
    for family in text_string_to_metric_families(plain.body.decode()):
        found = families[family.name] = {"help": family.documentation, "type": family.type}
        for sample in family.samples:
            if "overloaded" not in sample.labels.values():  # the machine was too slow: see `suite`
                pairs = ",".join(f"{label}={value}" for label, value in sorted(sample.labels.items()) if label != "le")
                series = found.setdefault(sample.name.removeprefix(family.name) or "(itself)", [])
                series += [pairs] if pairs not in series else []
        bounds = {sample.labels["le"]: None for sample in family.samples if "le" in sample.labels}
        found |= {"buckets": " ".join(bounds)} if bounds else {}
    return {
        "headers": [reply.shown("content-length")["headers"] for reply in (plain, open_format)],
        "openmetrics ends": open_format.body[-6:].decode(),
        "metrics": {name: _once(family) for name, family in sorted(families.items())},
    }


async def stopped(served: Served) -> Json:
    """The server stops: who is silent is let go at once, who speaks when that is over."""
    async with talk(served, session={}) as idle, talk(served, session=voiced()) as busy, caller(served) as called:
        await busy.say(LONG)
        await busy.until("response.output_audio.delta")
        served.stop()
        first = await idle.over()
        await called.over()
        await busy.send("response.create", response={"conversation": "none"})
        await busy.until("error")
        await busy.send("response.cancel")
        last = await busy.over()
        code = await asyncio.wait_for(served.process.wait(), 60)
    return {
        "idle": [*idle.shown(), first],
        "called": shown(called.told),
        "busy": [*shown(busy.told, cut=LONG), last],
        "exit": code,
    }


def _once(family: Json) -> Json:
    """A metric whose series of several suffixes have the same labels, which are said once."""
    labels = {suffix: value for suffix, value in family.items() if isinstance(value, list)}
    merged: dict[str, list[str]] = {}
    for suffix, value in labels.items():
        same = next((key for key, other in merged.items() if other == value), None)
        if same is not None:
            merged[f"{same} {suffix}"] = merged.pop(same)
        else:
            merged[suffix] = value
    return {key: value for key, value in family.items() if key not in labels} | merged


async def _empty(served: Served) -> None:
    """Wait until what came before has left."""
    async with asyncio.timeout(PATIENCE_S):
        while (await ask(served.address, "GET", "/readyz", key=served.key)).json["sessions"]:
            await asyncio.sleep(0.1)
