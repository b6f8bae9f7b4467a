"""openai-python on one Realtime socket: a whole utterance, one stopped in the middle, a whole one again."""

import asyncio
import base64
import sys

from facts import heard, tell
from openai_realtime import client, remembered, say

STOP_AFTER_S = 0.8


async def main(first: str, long: str, last: str) -> None:
    async with client().realtime.connect(model="voiced") as connection:
        whole = await say(connection, first)
        cut = await say(connection, long, STOP_AFTER_S)
        kept = await remembered(connection, cut.item_id)
        again = await say(connection, last)
        clip = await spoken_item(connection)
    tell(
        first=heard(whole.pcm, transcript=whole.transcript, status=whole.status),
        cut=heard(cut.pcm, played_s=STOP_AFTER_S, history=kept, status=cut.status, item_id=cut.item_id),
        last=heard(again.pcm, transcript=again.transcript, status=again.status),
        clip=clip,
    )


async def spoken_item(connection) -> dict:
    """An item of the user's own voice, through the input buffer: how the server shows it."""
    tone = b"\x00\x10" * 2400 + b"\x00\xf0" * 2400
    await connection.input_audio_buffer.append(audio=base64.b64encode(tone).decode())
    await connection.input_audio_buffer.commit()
    async for event in connection:
        if event.type == "conversation.item.done":
            return event.item.to_dict()
        if event.type == "error":
            raise RuntimeError(event.error.message)
    raise ConnectionError("the connection ended before the item came")


asyncio.run(main(*sys.argv[1:]))
