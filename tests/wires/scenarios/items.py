"""Scope: the conversation's items at the client's hands."""

from __future__ import annotations

from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.sound import clip, silence
from tests.wires.talking import message, talk

_CREATED: list[Json] = [
    {"item": message("The first.")},
    {"item": message("The zeroth.", id="zeroth"), "previous_item_id": "root"},
    {"item": message("In between.", id="between"), "previous_item_id": "zeroth"},
    {"item": {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "A quiet room."}]}},
    {"item": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}},
    {"item": {"type": "function_call", "name": "look", "arguments": "{}", "call_id": "call_of_mine"}},
    {"item": {"type": "function_call", "name": "look", "arguments": "{}"}},
    {"item": {"type": "function_call_output", "call_id": "call_of_mine", "output": "Rain."}},
]
_REFUSED: list[Json] = [
    {"item": message("Once more.", id="zeroth")},
    {"item": message("After nobody."), "previous_item_id": "nobody"},
    {"item": message("x" * 20_001)},
    {"item": {"type": "message", "role": "user", "content": []}},
    {"item": {"type": "message", "role": "narrator", "content": [{"type": "input_text", "text": "So."}]}},
    {"item": {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "x"}]}},
    {"item": {"type": "message", "role": "user", "content": [{"type": "output_text", "text": "So."}]}},
    {"item": {"type": "message", "role": "assistant", "content": [{"type": "input_text", "text": "So."}]}},
    {"item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAA="[:3]}]}},
    {"item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": b"odd"}]}},
    {"item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": silence(31)}]}},
    {"item": {"type": "telegram"}},
    {"item": {"role": "user"}},
    {"item": message("A name of many letters.", id="x" * 65)},
    {},
]


async def items(served: Served) -> list[Json]:
    """Items are created in their places, shown and deleted; what cannot be is refused."""
    async with talk(served, session={}) as one:
        for fields in _CREATED:
            await one.send("conversation.item.create", **fields)
            await one.until("conversation.item.done")
        for at, fields in enumerate(_REFUSED):
            await one.refused("conversation.item.create", event_id=f"mine {at}", **fields)
        for item_id in ("zeroth", "between"):
            await one.send("conversation.item.retrieve", item_id=item_id)
            await one.until("conversation.item.retrieved")
        for kind in ("retrieve", "delete"):
            await one.refused(f"conversation.item.{kind}", item_id="nobody")
            await one.refused(f"conversation.item.{kind}", item_id="")
        await one.refused("conversation.item.truncate", item_id="nobody", content_index=0, audio_end_ms=0)
        await one.refused("conversation.item.truncate", item_id="zeroth", content_index=0, audio_end_ms=0)
        await one.refused("conversation.item.truncate", item_id="zeroth", content_index=1, audio_end_ms=0)
        await one.refused("conversation.item.truncate", item_id="zeroth", content_index=0, audio_end_ms=-5)
        await one.send("conversation.item.delete", item_id="between")
        await one.until("conversation.item.deleted")
        await one.refused("conversation.item.retrieve", item_id="between")
        return one.shown()


async def clips(served: Served) -> list[Json]:
    """Clips come as items of either side; one of the assistant's is a voice to speak with."""
    async with talk(served, session={}) as one:
        said = {"type": "input_audio", "audio": clip("yes"), "transcript": "Yes."}
        spoken = {"type": "output_audio", "audio": clip("yes"), "transcript": "Yes."}
        mute = {"type": "output_audio", "audio": clip("yes")}
        for role, content in (("user", said), ("assistant", spoken), ("assistant", mute)):
            item = {"type": "message", "role": role, "content": [content], "id": f"of_{role}"}
            await one.send("conversation.item.create", item=item)
            await one.until("conversation.item.done" if content is not mute else "error")
        await one.send("conversation.item.retrieve", item_id="of_user")
        await one.until("conversation.item.retrieved")
        voice = {"seed": 7, "paced": False, "speakers": {"SPEAKER0": "item:of_assistant"}}
        await one.say("[SPEAKER0] Yes.", voiced=voice)
        await one.until("response.done")
        await one.send("response.create", response={"voiced": {"speakers": {"SPEAKER0": "item:nobody"}}})
        await one.until("error")
        return one.shown()
