"""openai-python walks through the events that the other drivers do not need: items of every kind, out-of-band
responses, G.711, text alone, and what the server refuses. Tells the error codes it got, in order."""

import asyncio
import base64
import sys

from facts import tell
from openai_realtime import client


async def main(long: str, short: str) -> None:
    codes: list[str] = []
    async with client().realtime.connect(model="voiced") as connection:

        async def until(*kinds: str):
            """The next event of these kinds."""
            async for event in connection:
                if event.type == "error":
                    codes.append(event.error.code)
                if event.type in kinds:
                    return event
            raise ConnectionError(f"the connection ended before {kinds} came")

        async def ask(event: dict, *answers: str):
            await connection.send(event)
            return await until(*answers)

        async def refused(event: dict) -> None:
            await ask(event, "error")

        async def create(item: dict, previous: str | None = None):
            event = {"type": "conversation.item.create", "item": item}
            return await ask(event | ({"previous_item_id": previous} if previous else {}), "conversation.item.done")

        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": short}]}

        await until("session.created")
        tools = [{"type": "function", "name": "lookup", "description": "Looks up.", "parameters": {"type": "object"}}]
        turns = {"type": "server_vad", "create_response": True, "interrupt_response": True}
        config = {"type": "realtime", "tools": tools, "audio": {"input": {"turn_detection": turns}}}
        await ask({"type": "session.update", "session": config}, "session.updated")

        await create(message | {"id": "item_second"})
        await create(message | {"role": "system", "content": [{"type": "input_text", "text": "Hm."}]}, "root")
        await create(message | {"role": "assistant", "content": [{"type": "output_text", "text": "So it is."}]})
        call = {"type": "function_call", "call_id": "call_1", "name": "lookup", "arguments": "{}"}
        await create(call)
        await create({"type": "function_call_output", "call_id": "call_1", "output": "42"})
        await ask({"type": "conversation.item.retrieve", "item_id": "item_second"}, "conversation.item.retrieved")

        silence = base64.b64encode(bytes(9600)).decode()
        await connection.send({"type": "input_audio_buffer.append", "audio": silence})
        await ask({"type": "input_audio_buffer.clear"}, "input_audio_buffer.cleared")
        await connection.send({"type": "input_audio_buffer.append", "audio": silence})
        await ask({"type": "input_audio_buffer.commit"}, "conversation.item.done")
        await ask({"type": "conversation.item.delete", "item_id": "item_second"}, "conversation.item.deleted")

        aside = {"conversation": "none", "metadata": {"purpose": "aside"}, "input": [message]}
        aside_done = await ask({"type": "response.create", "response": aside}, "response.done")
        for kind in ("audio/pcmu", "audio/pcma"):
            telephone = {"conversation": "none", "input": [message], "audio": {"output": {"format": {"type": kind}}}}
            await ask({"type": "response.create", "response": telephone}, "response.done")
        written = {"conversation": "none", "input": [message], "output_modalities": ["text"]}
        await ask({"type": "response.create", "response": written}, "response.done")

        await create(message | {"content": [{"type": "input_text", "text": long}]})
        first = await ask({"type": "response.create"}, "response.output_audio.delta")
        await refused({"type": "response.create", "event_id": "evt_busy"})
        await ask({"type": "response.cancel", "response_id": first.response_id}, "response.done")

        await refused({"type": "response.cancel"})
        await refused({"type": "input_audio_buffer.commit"})
        await refused({"type": "conversation.item.retrieve", "item_id": "item_of_nobody", "event_id": "evt_asked"})
        await refused({"type": "conversation.item.delete", "item_id": "item_of_nobody"})
        cut = {"type": "conversation.item.truncate", "content_index": 0}
        await refused(cut | {"item_id": "item_of_nobody", "audio_end_ms": 1})
        await refused(cut | {"item_id": first.item_id, "audio_end_ms": 10**6})
        await refused({"type": "conversation.item.create", "item": call | {"id": first.item_id}})
        await refused({"type": "output_audio_buffer.clear"})
        await refused({"type": "no.such.event"})
    tell(codes=codes, aside=aside_done.response.to_dict(), item_id=first.item_id)


asyncio.run(main(*sys.argv[1:]))
