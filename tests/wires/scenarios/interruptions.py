"""Scope: speech that is cut: by the client, by truncation, by the user who speaks. How much of it had been sent by then
depends on the pace; what is said about it does not."""

from __future__ import annotations

from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.sound import clip, silence
from tests.wires.talking import LONG, message, shown, talk, voiced

_LISTENING = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}, **voiced()}


async def cancelled(served: Served) -> list[Json]:
    """A response is cancelled, another one by its id."""
    async with talk(served, session=voiced()) as one:
        await one.say(LONG)
        await one.until("response.output_audio.delta")
        await one.send("response.cancel")
        await one.until("conversation.item.done")
        await one.until("response.done")
        await one.send("response.create", response={"conversation": "none", "input": [message(LONG)]})
        delta = await one.until("response.output_audio.delta")
        await one.send("response.cancel", response_id=delta["response_id"])
        await one.until("response.done")
        await one.refused("response.cancel", response_id=delta["response_id"])
        return shown(one.told, cut=LONG)


async def truncated(served: Served) -> list[Json]:
    """A message is truncated while it is spoken, deleted only afterwards; a whole one is truncated further."""
    async with talk(served, session=voiced()) as one:
        await one.say(LONG)
        delta = await one.until("response.output_audio.delta")
        item = {"item_id": delta["item_id"], "content_index": 0}
        await one.refused("conversation.item.delete", item_id=delta["item_id"])
        await one.refused("response.create")
        await one.send("conversation.item.truncate", audio_end_ms=0, **item)
        await one.until("response.done")
        await one.send("conversation.item.retrieve", item_id=delta["item_id"])
        await one.until("conversation.item.retrieved")
        first = shown(one.told, cut=LONG)
        one.told.clear()
        await one.say("Good morning to everybody.")
        delta = await one.until("response.output_audio.delta")
        await one.until("response.done")
        item["item_id"] = delta["item_id"]
        await one.send("conversation.item.truncate", audio_end_ms=600, **item)
        await one.until("conversation.item.truncated")
        await one.send("conversation.item.truncate", audio_end_ms=900, **item)
        await one.until("conversation.item.truncated")
        await one.send("conversation.item.retrieve", item_id=delta["item_id"])
        await one.until("conversation.item.retrieved")
        await one.refused("conversation.item.truncate", audio_end_ms=99_000, **item)
        await one.send("conversation.item.delete", item_id=delta["item_id"])
        await one.until("conversation.item.deleted")
        return first + one.shown()


async def interrupted(served: Served) -> list[Json]:
    """The user speaks while a response is spoken, and that ends; one out of band goes on."""
    async with talk(served, session=_LISTENING) as one:
        await one.say(LONG)
        await one.until("response.output_audio.delta")
        outside = {"conversation": "none", "input": [message("Yes.")]}
        await one.send("response.create", response=outside)
        await one.until("response.created")
        await one.send("input_audio_buffer.append", audio=clip("question") + silence(1))
        await one.all("response.done", "response.done", "input_audio_buffer.committed")
        await one.settle()
        return shown(one.told, cut=LONG, by_response=True)


async def spoken_over(served: Served) -> list[Json]:
    """With interrupt_response false the response is spoken to its end."""
    detection = {"type": "server_vad", "interrupt_response": False}
    session = {"audio": {"input": {"turn_detection": detection}}, **voiced()}
    async with talk(served, session=session) as one:
        await one.say("Good morning to everybody.")
        await one.until("response.output_audio.delta")
        await one.send("input_audio_buffer.append", audio=clip("yes") + silence(1))
        await one.all("response.done", "input_audio_buffer.committed")
        await one.settle()
        return one.shown_by_response()
