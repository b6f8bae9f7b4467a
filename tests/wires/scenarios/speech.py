"""Scope: `POST /v1/audio/speech`."""

from __future__ import annotations

import base64
import json

from tests.wires.asking import ask
from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.sound import file_shown, pcm_shown

_PATH = "/v1/audio/speech"
_ASKED: Json = {"model": "voiced", "voice": "ada", "input": "Yes.", "seed": 7}
_REFUSED: list[Json] = [
    {"input": ""},
    {"input": "… — !"},
    {"input": 5},
    {"input": "x" * 4097},
    {"voice": "adda"},
    {"voice": "item:item_1"},
    {"voice": 7},
    {"response_format": "ogg"},
    {"speed": 9},
    {"stream_format": "chunks"},
    {"seed": -1},
    {"model": 1},
    {"instructions": 5},
    {"respons_format": "mp3"},
    {"surplus": True},
]


async def files(served: Served) -> Json:
    """Every format, and what is in the file."""
    found: Json = {}
    for name in ("mp3", "opus", "aac", "flac"):
        reply = await ask(served.address, "POST", _PATH, {**_ASKED, "response_format": name}, key=served.key)
        found[name] = {"status": reply.status, "headers": _headers(reply.headers), "file": file_shown(reply.body)}
    reply = await ask(served.address, "POST", _PATH, {**_ASKED, "response_format": "pcm"}, key=served.key)
    found["pcm"] = {"status": reply.status, "headers": _headers(reply.headers), "pcm": pcm_shown(reply.body)}
    return found


async def manners(served: Served) -> Json:
    """Voices as objects and aliases, speed, instructions, nulls, no voice at all; text of several clauses."""
    manners: dict[str, Json] = {
        "object": {"voice": {"id": "otto"}, "speed": 2},
        "alias": {"voice": "alloy"},
        "scene": {"instructions": "A quiet room.", "speed": 0.5},
        "nulls": dict.fromkeys(("voice", "speed", "instructions", "stream_format", "model")),
        "long": {"input": "Yes. As far as anybody can tell at nine, it has begun."},
    }
    found: Json = {}
    for name, manner in manners.items():
        asked = {**_ASKED, "response_format": "pcm", **manner}
        reply = await ask(served.address, "POST", _PATH, asked, key=served.key)
        found[name] = pcm_shown(reply.body) if reply.status == 200 else reply.shown()
    return found


async def events(served: Served) -> Json:
    """The file as server-sent events."""
    asked = {**_ASKED, "response_format": "wav", "stream_format": "sse"}
    reply = await ask(served.address, "POST", _PATH, asked, key=served.key)
    *told, rest = reply.body.decode().split("\n\n")
    assert not rest and all(one.startswith("data: ") for one in told), told
    parts = [json.loads(one.removeprefix("data: ")) for one in told]
    deltas = [part for part in parts if part["type"] == "speech.audio.delta"]
    file = b"".join(base64.b64decode(part["audio"]) for part in deltas)
    return {
        "status": reply.status,
        "headers": _headers(reply.headers),
        "fields of deltas": sorted({key for part in deltas for key in part}),
        "file": file_shown(file),
        "rest": [part for part in parts if part not in deltas],
    }


async def refusals(served: Served) -> list[Json]:
    """Everything that can be wrong with a request."""
    bodies: list[bytes | Json] = [{**_ASKED, **wrong} for wrong in _REFUSED]
    bodies += [{}, b"", b"{", b"[]", b"5", b"\xff", b'{"input": "So.", "voice": "ada"']
    return [(await ask(served.address, "POST", _PATH, body, key=served.key)).shown() for body in bodies]


def _headers(headers: dict[str, str]) -> Json:
    return {name: value for name, value in sorted(headers.items()) if name not in ("date", "connection")}
