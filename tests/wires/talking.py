"""Scope: a client of the Realtime protocol on a WebSocket, and what is recorded of what it was told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.wires.served import Served
from tests.wires.shown import Json, changes, joined
from tests.wires.sound import pcm_shown

PATIENCE_S = 120.0
SEEDED = {"seed": 7, "paced": False}
LONG = (
    "The harbour is quiet in the morning. The ships come in before noon, one after the other. "
    "Then the gulls follow them, and the whole town hears it until the evening. "
    "At night the lamps are lit, and somebody walks along the water with a dog. "
    "Tomorrow it begins again, and nobody in the town will think that this is strange."
)
"""Many seconds of speech: whoever cuts it off comes early enough, however slow the machine."""
_PIECES = {"response.output_audio.delta": "delta", "response.output_audio_transcript.delta": "delta"}
_CUT = {"cancelled", "failed"}


class Talk:
    """One connection. `told` is every event that came."""

    def __init__(self, connection: ClientConnection, *, binary: bool = False) -> None:
        self.connection = connection
        self.told: list[Json] = []
        self._binary = binary

    async def send(self, kind: str, **fields: Any) -> None:
        """An event. Bytes in `fields` go in the way of the encoding."""
        event = {"type": kind, **fields}
        await self.raw(msgspec.msgpack.encode(event) if self._binary else json.dumps(event, default=_base64))

    async def raw(self, message: str | bytes) -> None:
        """A message that may be no event."""
        await self.connection.send(message)

    async def next(self) -> Json:
        """The next event. Raises ConnectionClosed."""
        data = await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
        event = msgspec.msgpack.decode(data) if isinstance(data, bytes) else json.loads(data)
        self.told.append(event)
        return dict(event)

    async def until(self, kind: str, times: int = 1) -> Json:
        """Take events in until one of a kind has come so often; returns that."""
        while True:
            event = await self.next()
            if event["type"] == kind:
                times -= 1
                if not times:
                    return event

    async def all(self, *kinds: str) -> None:
        """Take events in until each of these has come; one that is named twice, twice, and so on."""
        while Counter(kinds) - Counter(event["type"] for event in self.told):
            await self.next()

    async def settle(self) -> None:
        """Take in all that was under way when this was asked for."""
        await self.send("session.update", session={})
        while (await self.next())["type"] != "session.updated":
            pass
        del self.told[-1]

    async def refused(self, kind: str, **fields: Any) -> None:
        """An event that is answered with an error, and all that comes up to then."""
        await self.send(kind, **fields)
        await self.settle()

    async def over(self) -> Json:
        """Take events in until the server closes the connection; how it did."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self.next()
        return {"closed": self.connection.close_code, "reason": self.connection.close_reason}

    async def say(self, text: str, **response: Any) -> None:
        """Put a user's words in and ask for them to be spoken."""
        await self.send("conversation.item.create", item=message(text))
        await self.send("response.create", response=response)

    def shown(self, *, pcm: bool = True) -> list[Json]:
        """What it was told, as it is recorded; of speech that is no 16-bit `pcm` at 24 kHz, the bytes are counted."""
        return shown(self.told, pcm=pcm)

    def shown_by_response(self) -> list[Json]:
        """The same where several things are under way, each by itself: how they alternate depends on the pace."""
        return shown(self.told, by_response=True)


@contextlib.asynccontextmanager
async def talk(
    served: Served,
    path: str = "/v1/realtime",
    *,
    protocols: tuple[str, ...] = (),
    session: Json | None = None,
    greeting: str = "conversation.created",
) -> AsyncIterator[Talk]:
    """A connection that was greeted (with the last of several events), and whose session was changed if asked to."""
    binary = "voiced.msgpack" in protocols
    async with connect(
        f"ws://{served.address}{path}",
        subprotocols=[Subprotocol(one) for one in protocols] or None,
        additional_headers={"Authorization": f"Bearer {served.key}"} if served.key else None,
        open_timeout=PATIENCE_S,
        max_size=None,
        compression=None,
    ) as connection:
        one = Talk(connection, binary=binary)
        await one.until(greeting)
        if session is not None:
            await one.send("session.update", session=session)
            await one.until("session.updated")
            one.told.clear()
        yield one


def voiced(**more: Any) -> Json:
    """Session settings that make speech repeatable."""
    return {"voiced": {**SEEDED, **more}}


def message(text: str, **more: Any) -> Json:
    """A user's words, as an item."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def shown(events: list[Json], *, pcm: bool = True, by_response: bool = False, cut: str = "") -> list[Json]:
    """Events as they are recorded: of settings and responses that are shown again, what changed. `cut` is a text of
    which more or less was heard before it was cut off."""
    plain = [_plain(event, pcm) for event in joined(events, ("response_id",), _PIECES)]
    if by_response:
        plain = _by_response(plain)
    if cut:
        plain = [_without_extent(event, cut) for event in plain]
    before: dict[str, Json] = {}
    return [_once(event, before) for event in plain]


def _once(event: Json, before: dict[str, Json]) -> Json:
    """An event whose settings, response or item are shown in full only if they were not shown `before`."""
    event = dict(event)
    for key in ("session", "response", "item"):
        if (whole := event.get(key)) is not None:
            known_as = whole["id"] if key == "item" else key
            if known_as in before:
                changed = changes(before[known_as], whole)
                event[key] = {"as before, but": changed} if changed else "(as before)"
            before[known_as] = whole
    return event


def _by_response(events: list[Json]) -> list[Json]:
    """What is about no response first, then what is about the items of responses, then each response's own."""
    order = {"": 0, "(items)": 1}

    def stream(event: Json) -> int:
        of = event.get("response_id") or event.get("response", {}).get("id") or ""
        if event["type"].startswith("conversation.item") and event.get("item", {}).get("role") == "assistant":
            of = "(items)"
        return order.setdefault(of, len(order))

    return sorted(events, key=stream)


def _without_extent(event: Json, cut: str) -> Json:
    """An event without how much of the text `cut` had been spoken by then."""
    if event["type"] == "response.output_audio.delta":
        return {**event, "delta": "(speech)"}
    if event["type"] == "response.output_audio_transcript.delta" and cut.startswith("".join(event["delta"])):
        return {**event, "delta": "(its beginning)"}
    if event["type"] == "conversation.item.truncated" and event["audio_end_ms"]:
        return {**event, "audio_end_ms": "(what was heard)"}
    return dict(_without_words(event, cut))


def _without_words(value: Any, cut: str) -> Any:
    if isinstance(value, list):
        return [_without_words(one, cut) for one in value]
    if isinstance(value, dict):
        return {
            key: "(its beginning)"
            if key == "transcript" and one is not None and cut.startswith(one)
            else _without_words(one, cut)
            for key, one in value.items()
        }
    return "(the text)" if value == cut else value


def _plain(event: Json, pcm: bool) -> Json:
    """An event without its own id, which every one has."""
    assert event["event_id"].startswith("event_"), event
    event = {key: value for key, value in event.items() if key != "event_id"}
    if event["type"] == "response.output_audio.delta":
        speech = b"".join(one if isinstance(one, bytes) else base64.b64decode(one) for one in event["delta"])
        event["delta"] = pcm_shown(speech) if pcm else {"bytes": len(speech)}
    response = event.get("response")
    if response is not None and response["status"] in _CUT:  # how far it had come depends on the pace
        event["response"] = {**response, "usage": "(what it took)"}
    return dict(_without_audio(event))


def _without_audio(value: Any) -> Any:
    """Recorded audio in items by its length."""
    if isinstance(value, list):
        return [_without_audio(one) for one in value]
    if isinstance(value, dict):
        return {
            key: f"({len(one) if isinstance(one, bytes) else len(base64.b64decode(one))} bytes)"
            if key == "audio" and isinstance(one, str | bytes)
            else _without_audio(one)
            for key, one in value.items()
        }
    return value


def _base64(value: Any) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()
