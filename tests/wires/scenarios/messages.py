"""Scope: messages that are none, and the other encoding."""

from __future__ import annotations

import contextlib

import msgspec
from websockets.exceptions import ConnectionClosed

from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.sound import clip
from tests.wires.talking import message, talk, voiced

_NONE: list[str | bytes] = [
    "",
    "{",
    "[]",
    "5",
    '"hello"',
    "{}",
    '{"type": null}',
    '{"type": 5, "event_id": "mine"}',
    '{"type": "response.creat", "event_id": "mine"}',
    '{"type": "x", "event_id": "mine"}',
    '{"type": "response.cancel", "event_id": 5}',
    '{"type": "response.cancel", "event_id": "' + "x" * 513 + '"}',
    '{"type": "response.cancel", "surplus": true, "event_id": "mine"}',
    '{"type": "response.cancel", "response_id": ""}',
    b'{"type": "response.cancel"}',
    '{"type": "session.update", "event_id": "mine", "session": {"prompt": "' + "x" * (256 * 1024) + '"}}',
]


async def unreadable(served: Served) -> list[Json]:
    """Each is answered by one error, and the session goes on; one of more than 4 MiB is its end."""
    async with talk(served) as one:
        one.told.clear()
        for text in _NONE:
            await one.raw(text)
            await one.until("error")
        with contextlib.suppress(ConnectionClosed):
            await one.raw("x" * (4 * 1024 * 1024 + 1))
        over = await one.over()
        return [*one.shown(), over]


async def packed(served: Served) -> list[Json]:
    """The same events as msgpack, with plain bytes; msgpack is taken before JSON where both are offered."""
    async with talk(served, protocols=("realtime", "voiced.msgpack")) as one:
        protocol = {"subprotocol": one.connection.subprotocol}
        await one.send("session.update", session=voiced())
        await one.send("input_audio_buffer.append", audio=clip("yes"))
        await one.send("input_audio_buffer.commit")
        done = await one.until("conversation.item.done")
        await one.send("conversation.item.retrieve", item_id=done["item"]["id"])
        await one.say("Good morning.")
        await one.until("response.done")
        for wrong in (b"", b"\xc1", msgspec.msgpack.encode([]), msgspec.msgpack.encode({"type": "x"}), "{}"):
            await one.raw(wrong)
            await one.until("error")
        await one.refused("input_audio_buffer.append", audio="text")
        await one.refused("conversation.item.create", item=message("So.", role="nobody"), event_id="mine")
        return [protocol, *one.shown()]


async def unnamed(served: Served) -> list[Json]:
    """No sub-protocol, one that is not known, and a model that is."""
    told: list[Json] = []
    for path, protocols in (("/v1/realtime", ()), ("/v1/realtime?model=gpt-realtime", ("unknown", "realtime"))):
        async with talk(served, path, protocols=protocols) as one:
            told.append({"subprotocol": one.connection.subprotocol})
            told += one.shown()
    return told
