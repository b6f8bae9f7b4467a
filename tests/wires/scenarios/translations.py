"""Scope: `/v1/realtime/translations`."""

from __future__ import annotations

import base64

from tests.wires.asking import ask
from tests.wires.served import Served
from tests.wires.shown import Json, joined
from tests.wires.sound import silence
from tests.wires.talking import Talk, talk

_PATH = "/v1/realtime/translations"
_PIECES = {
    "session.output_audio.delta": "delta",
    "session.output_transcript.delta": "delta",
    "session.input_transcript.delta": "delta",
}
_REFUSED: list[Json] = [
    {"audio": {"output": {"language": "klingon!"}}},
    {"audio": {"output": {"language": "ja"}}},
    {"audio": {"output": {"voice": "ada"}}},
    {"audio": {"input": {"noise_reduction": {"type": "nowhere"}}}},
    {"audio": {"input": {"transcription": {}}}},
    {"voiced": {"voice": "adda"}},
    {"model": "x"},
    {"type": "realtime"},
]


async def translated(served: Served) -> list[Json]:
    """Given words are translated and spoken, in two languages; the last event closes."""
    async with talk(served, _PATH, greeting="session.created") as one:
        await one.send("session.update", session={"audio": {"output": {"language": "de"}}, "voiced": {"voice": "ada"}})
        await one.until("session.updated")
        await one.send("session.input_audio_buffer.append", audio=silence(0.4))
        await one.send("session.input_transcript.append", text="Yes. ")
        await one.until("session.output_audio.delta")
        await one.send("session.update", session={"audio": {"output": {"language": "es"}}})
        await one.until("session.updated")
        await one.send("session.input_audio_buffer.append", audio=silence(0.4))
        await one.send("session.input_transcript.append", text="Thank you. The zeppelin sings.")
        await one.send("session.close")
        over = await one.over()
        return [*_shown(one), over]


async def refused(served: Served) -> list[Json]:
    """What is wrong is refused by its field, and the session goes on."""
    async with talk(served, _PATH, greeting="session.created") as one:
        for at, session in enumerate(_REFUSED):
            await one.send("session.update", session=session, event_id=f"mine {at}")
            await one.next()
        for text in (
            "{",
            "[]",
            "{}",
            '{"type": "response.create", "event_id": "mine"}',
            '{"type": "session.close", "x": 1}',
        ):
            await one.raw(text)
            await one.until("error")
        await one.send("session.input_transcript.append", text="x" * 4097)
        await one.until("error")
        await one.send("session.input_audio_buffer.append", audio=b"odd")
        await one.until("error")
        settings = {"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "far_field", "strength": 0.5}}
        await one.send("session.update", session={"type": "translation", "audio": {"input": settings}})
        await one.until("session.updated")
        await one.send("session.close")
        over = await one.over()
        return [*_shown(one), over]


async def secrets(served: Served) -> Json:
    """A secret opens a session that is set up with what it was minted with."""
    path = f"{_PATH}/client_secrets"
    wanted = {"session": {"model": "m", "audio": {"output": {"language": "fr"}}}, "expires_after": {"seconds": 60}}
    minted = await ask(served.address, "POST", path, wanted, key=served.key)
    wrong = await ask(served.address, "POST", path, {"session": {"language": "fr"}}, key=served.key)
    with_secret = served.opened_by(minted.json["value"])
    async with talk(with_secret, _PATH, greeting="session.created") as one:
        return {"minted": minted.shown(), "refused": wrong.shown(), "told": _shown(one)}


def _shown(one: Talk) -> list[Json]:
    """What was told; words and speech side by side, as their pace is not the same."""
    pieces = [event for event in one.told if event["type"] in _PIECES]
    rest = [event for event in one.told if event["type"] not in _PIECES]
    return [_plain(event) for event in [*rest, *joined(pieces, (), _PIECES)]]


def _plain(event: Json) -> Json:
    event = {key: value for key, value in event.items() if key != "event_id"}
    if "elapsed_ms" in event:
        event["elapsed_ms"] = "(a time)"
    if event["type"] == "session.output_audio.delta":
        event["delta"] = {"some": any(base64.b64decode(one) for one in event["delta"])}  # nobody can ask for a seed
    elif event["type"] in _PIECES:
        event["delta"] = "".join(event["delta"])
    return event
