"""Scope: responses on `/v1/realtime`: spoken, written, out of band, refused, failed."""

from __future__ import annotations

from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.talking import message, talk, voiced

_OUTSIDE = {"conversation": "none", "metadata": {"purpose": "greeting"}}
_REFUSED: list[Json] = [
    {"audio": {"output": {"voice": "adda"}}},
    {"conversation": "aside"},
    {"metadata": {str(at): "x" for at in range(17)}},
    {"input": [{"type": "item_reference", "id": "nobody"}]},
    {"input": [{"type": "message", "role": "user", "content": []}]},
    {"input": [message("x" * 20_001)]},
    {"output_modalities": ["audio", "text"]},
    {"max_output_tokens": 0},
    {"modalities": ["text"]},
    {"voiced": {"top_k": -1}},
]


async def spoken(served: Served) -> list[Json]:
    """A conversation of two responses; the second has settings of its own. The speech is an item that can be shown."""
    async with talk(served, session=voiced()) as one:
        await one.say("Good morning.")
        await one.until("response.done")
        mine = {"voice": "otto", "speed": 1.25}
        await one.say("Shall we go?", audio={"output": mine}, instructions="A quiet room.", metadata={"a": "b"})
        done = await one.until("response.done")
        await one.send("conversation.item.retrieve", item_id=done["response"]["output"][0]["id"])
        await one.until("conversation.item.retrieved")
        return one.shown()


async def clauses(served: Served) -> list[Json]:
    """A text of several clauses, some of which cannot be spoken."""
    async with talk(served, session=voiced()) as one:
        await one.say("Yes. … As far as anybody here can tell, at 9 it has all begun!  — ")
        await one.until("response.done")
        return one.shown()


async def dialogue(served: Served) -> list[Json]:
    """Two speakers with voices."""
    async with talk(served, session=voiced(speakers={"SPEAKER0": "ada", "SPEAKER1": "otto"})) as one:
        await one.say("[SPEAKER0] Who is there? [SPEAKER1] Me.")
        await one.until("response.done")
        return one.shown()


async def limited(served: Served) -> list[Json]:
    """A response that may have ten tokens is incomplete."""
    async with talk(served, session=voiced()) as one:
        await one.say("The train leaves at nine.", max_output_tokens=10)
        await one.until("response.done")
        return one.shown()


async def formats(served: Served) -> list[Json]:
    """Speech in other encodings."""
    asked: list[Json] = [
        {"type": "audio/pcmu"},
        {"type": "audio/pcma"},
        {"type": "audio/raw", "encoding": "pcm_f32le", "rate": 48000},
        {"type": "audio/raw", "encoding": "pcm_s16le", "rate": 22050},
    ]
    async with talk(served, session=voiced()) as one:
        for kind in asked:
            await one.say("Yes.", audio={"output": {"format": kind}})
            await one.until("response.done")
        return one.shown(pcm=False)


async def written(served: Served) -> list[Json]:
    """Responses of text, in the conversation and beside it."""
    async with talk(served, session={"output_modalities": ["text"]}) as one:
        await one.say("Good morning. Shall we go?")
        await one.until("response.done")
        await one.send("response.create", response={**_OUTSIDE, "input": [message("Only this.")]})
        await one.until("response.done")
        return one.shown()


async def outside(served: Served) -> list[Json]:
    """Two responses out of band at once, beside one in the conversation; they join nothing."""
    async with talk(served, session=voiced()) as one:
        await one.send("conversation.item.create", item=message("Good morning.", id="greeting"))
        await one.until("conversation.item.done")
        reference = {"type": "item_reference", "id": "greeting"}
        await one.send("response.create", response={**_OUTSIDE, "input": [reference]})
        await one.send("response.create", response={**_OUTSIDE, "input": [reference, message("Welcome back.")]})
        await one.send("response.create")
        await one.until("response.done", 3)
        return one.shown_by_response()


async def refused(served: Served) -> list[Json]:
    """Responses that cannot be begun, or have nothing to say, and cancels of none."""
    async with talk(served, session=voiced()) as one:
        await one.send("response.create")
        await one.until("response.done")
        await one.say("… — !")
        await one.until("response.done")
        for at, response in enumerate(_REFUSED):
            await one.refused("response.create", response=response, event_id=f"mine {at}")
        await one.refused("response.cancel")
        await one.refused("response.cancel", response_id="resp_of_nobody")
        await one.refused("output_audio_buffer.clear")
        return one.shown()


async def crowded(served: Served) -> list[Json]:
    """One response at a time in the conversation, sixteen beside it."""
    async with talk(served, session={}) as one:
        for at in range(17):
            stream = {"conversation": "none", "voiced": {"text_stream": f"stream {at}"}}
            await one.send("response.create", response=stream, event_id=f"mine {at}")
        await one.until("error")
        await one.send("response.create", response={"voiced": {"text_stream": "within"}})
        await one.until("response.created")
        await one.refused("response.create")
        return one.shown()
