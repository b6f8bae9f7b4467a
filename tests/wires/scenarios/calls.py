"""Scope: `/v1/realtime/calls`: offers and answers, a call's events, sidebands, ends, refusals."""

from __future__ import annotations

import asyncio
import json

from tests.wires.asking import ask, form, handshake
from tests.wires.calling import SDP, Caller, caller, sdp_shown
from tests.wires.offers import AUDIO, DATA, offer, only
from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.talking import LONG, message, shown, talk, voiced

_CALLS = "/v1/realtime/calls"
_TAKEN = {
    "everything": offer(AUDIO, DATA),
    "no events": offer(AUDIO),
    "recvonly": offer(AUDIO.replace("sendrecv", "recvonly"), DATA),
    "PCMU first": offer(only("0 8 111"), DATA),
    "G722 alone": offer(only("9"), DATA),
    "active": offer(AUDIO, DATA).replace("actpass", "active"),
}
_REFUSED = {
    "nothing": "",
    "no offer": "hello",
    "no audio": offer(DATA),
    "sendonly": offer(AUDIO.replace("sendrecv", "sendonly")),
    "inactive": offer(AUDIO.replace("sendrecv", "inactive")),
    "no codec of ours": offer(only("63 13")),
    "no fingerprint": offer(AUDIO).replace("a=fingerprint", "a=x-fingerprint"),
    "no ufrag": offer(AUDIO).replace("a=ice-ufrag", "a=x-ufrag"),
    "two audio sections": offer(AUDIO, AUDIO.replace("a=mid:0", "a=mid:1")),
    "small messages": offer(AUDIO, DATA.replace("262144", "1024")),
    "too large": offer(AUDIO, "a=x:" + "x" * 17_000 + "\n"),
}


async def answers(served: Served) -> Json:
    """Offers of all kinds and what answers them. They are gone when nobody connects."""
    found: Json = {}
    for name, sdp in _TAKEN.items():
        reply = await ask(served.address, "POST", _CALLS, sdp.encode(), SDP, key=served.key)
        body = sdp_shown(reply.body.decode()) if reply.status == 201 else reply.body.decode()
        found[name] = {**reply.shown("content-length"), "body": body}
        await ask(served.address, "POST", reply.headers.get("location", _CALLS) + "/hangup", key=served.key)
    return found


async def refusals(served: Served) -> Json:
    """Offers that cannot be answered, sessions that cannot be had, calls that are none."""

    async def post(body: bytes | Json | None, headers: dict[str, str], path: str = _CALLS) -> Json:
        return (await ask(served.address, "POST", path, body, headers, key=served.key)).shown()

    found = {name: await post(sdp.encode(), SDP) for name, sdp in _REFUSED.items()}
    found["json"] = await post({"sdp": _TAKEN["no events"]}, {})
    found["no UTF-8"] = await post(b"\xff\xfe", SDP)
    forms: dict[str, tuple[tuple[str, str | bytes], ...]] = {
        "no sdp": (("session", "{}"),),
        "another part": (("sdp", _TAKEN["no events"]), ("more", "x")),
        "session of another kind": (("sdp", _TAKEN["no events"]), ("session", "[]")),
        "session no JSON": (("sdp", _TAKEN["no events"]), ("session", "{")),
        "session unknown field": (("sdp", _TAKEN["no events"]), ("session", '{"speed": 1}')),
        "session refused": (
            ("sdp", _TAKEN["no events"]),
            ("session", '{"audio": {"output": {"voice": "adda"}}}'),
        ),
    }
    for name, parts in forms.items():
        found[f"form: {name}"] = await post(*form(*parts))
    found["hangup of nobody"] = await post(None, {}, f"{_CALLS}/rtc_nobody/hangup")
    nobody = await handshake(served.address, "/v1/realtime?call_id=rtc_nobody", key=served.key)
    found["sideband of nobody"] = nobody.shown()
    return found


async def configured(served: Served) -> Json:
    """An offer in a form with the session's settings."""
    session = {"type": "realtime", "audio": {"output": {"voice": "otto"}}, "instructions": "A quiet room."}
    body, headers = form(("sdp", _TAKEN["no events"]), ("session", json.dumps(session)))
    reply = await ask(served.address, "POST", _CALLS, body, headers, key=served.key)
    await ask(served.address, "POST", reply.headers["location"] + "/hangup", key=served.key)
    return {**reply.shown("content-length"), "body": sdp_shown(reply.body.decode())}


async def spoken(served: Served) -> Json:
    """A response is played; another one is cut by the client, a third by a cancel. What the server plays is told beside
    what it says, and the two alternate as the pace has it."""
    async with caller(served, voiced()) as one:
        one.send("conversation.item.create", item=message("Good morning."))
        one.send("response.create")
        await one.until("response.done", "output_audio_buffer.stopped")
        for cut in ("output_audio_buffer.clear", "response.cancel"):
            one.send("conversation.item.create", item=message(LONG))
            one.send("response.create")
            await one.until("output_audio_buffer.started")
            one.send(cut)
            await one.until("output_audio_buffer.cleared", "response.done", "conversation.item.truncated")
        one.send("output_audio_buffer.clear")
        one.send("response.cancel")
        one.send("nonsense")
        one.send("input_audio_buffer.append", audio="")
        one.send("conversation.item.retrieve", item_id="nobody")
        while one.told[-1].get("error", {}).get("code") != "item_retrieve_invalid_item_id":
            await one.until("error")
        hangup = await ask(served.address, "POST", f"{one.path}/hangup", key=served.key)
        await one.over()
        again = await ask(served.address, "POST", f"{one.path}/hangup", key=served.key)
        events = shown(one.told, cut=LONG)
    playout = [event for event in events if event["type"].startswith("output_audio_buffer")]
    said = [event for event in events if event not in playout]
    return {"said": said, "playout": playout, "hangup": hangup.shown(), "hangup again": again.shown()}


async def sidebands(served: Served) -> Json:
    """Somebody takes part beside the caller: both get every event, and either may ask; the call's end is its end."""
    async with caller(served) as one:
        call_id = one.path.rpartition("/")[2]
        async with talk_beside(served, call_id) as beside:
            await beside.send("conversation.item.create", item=message("From beside."))
            await beside.until("conversation.item.done")
            await one.until("conversation.item.done")
            one.send("conversation.item.create", item=message("From the caller."))
            await beside.until("conversation.item.done")
            await beside.raw("{")
            await beside.until("error")
            await one.until("conversation.item.done", "error")
            await ask(served.address, "POST", f"{one.path}/hangup", key=served.key)
            over = await beside.over()
            await one.over()
    return {"beside": [*beside.shown(), over], "caller": shown(one.told)}


def talk_beside(served: Served, call_id: str):  # type: ignore[no-untyped-def]
    """A connection beside a call; it is greeted with the session alone."""
    return talk(served, f"/v1/realtime?call_id={call_id}", greeting="session.created")


async def left(served: Served) -> list[Json]:
    """The caller hangs up: its call is over."""
    calling = Caller(served)
    await calling.call()
    path = f"/v1/realtime?call_id={calling.path.rpartition('/')[2]}"
    async with talk(served, path, greeting="session.created") as beside:
        await calling.close()
        over = await asyncio.wait_for(beside.over(), 60)
    return [*beside.shown(), over]
