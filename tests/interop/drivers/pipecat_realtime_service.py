"""Pipecat's OpenAIRealtimeLLMService in one pipeline: a whole utterance; an interruption when all of it has been sent
but not played; an item that does not exist; an utterance interrupted in the middle; a whole one again."""

import asyncio
import sys

from facts import heard, tell
from pipecat.services.openai.realtime.events import (
    ConversationItem,
    ConversationItemCreateEvent,
    ItemContent,
    ResponseCreateEvent,
)
from pipecat_realtime import Call, calling, service

STOP_AFTER_S = 0.8


async def main(first: str, long: str, last: str) -> None:
    async with calling(service()) as call:
        await call.say(first)
        whole = heard(call.ear.pcm, transcript=call.ear.text)

        await call.ear.broadcast_interruption()
        while (late := await call.remembered()) == first:  # until the interruption has travelled up the pipeline
            await asyncio.sleep(0.02)
        try:
            await call.llm.retrieve_conversation_item("item_of_nobody")
            missing = ""
        except Exception as error:
            missing = str(error)

        call.ear.tire_after(STOP_AFTER_S)
        await say_next(call, long)
        item_id, cut = call.items[-1], heard(call.ear.pcm)
        kept = await call.remembered()

        await say_next(call, last)
        tell(
            first=whole,
            late=late,
            missing=missing,
            cut={**cut, "history": kept, "item_id": item_id},
            last=heard(call.ear.pcm, transcript=call.ear.text),
            errors=call.errors,
        )


async def say_next(call: Call, text: str) -> None:
    """A further typed turn. (A context frame starts a Pipecat session; after it, turns come as client events.)"""
    call.ear.pcm, call.ear.text = b"", ""
    call.ear.done.clear()
    content = [ItemContent(type="input_text", text=text)]
    await call.llm.send_client_event(
        ConversationItemCreateEvent(item=ConversationItem(type="message", role="user", content=content))
    )
    await call.llm.send_client_event(ResponseCreateEvent())
    await call.ear.done.wait()


asyncio.run(main(*sys.argv[1:]))
