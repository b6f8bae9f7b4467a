"""Speak over the Realtime socket with openai-python, and stop in mid-sentence.

    python openai_realtime.py "The train leaves at nine." -o train.wav
    python openai_realtime.py "The train leaves at nine." -o train.wav --stop-after 0.6

Only `base_url` differs from the hosted API. VOICE_SERVER and VOICE_KEY name another server than this machine's.
"""

import argparse
import asyncio
import base64
import os
import wave
from dataclasses import dataclass

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

URL = os.environ.get("VOICE_SERVER", "http://127.0.0.1:8080")
KEY = os.environ.get("VOICE_KEY", "none")


@dataclass
class Speech:
    """What came: 16-bit mono PCM at 24 kHz, its words, and the conversation's item."""

    pcm: bytes = b""
    transcript: str = ""
    item_id: str = ""
    status: str = ""


def client(url: str = URL, key: str = KEY) -> AsyncOpenAI:
    """openai-python, pointed at voiced."""
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=key)


async def say(connection: AsyncRealtimeConnection, text: str, stop_after: float | None = None) -> Speech:
    """Have `text` spoken; with `stop_after`, only that many seconds of it are played."""
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )
    await connection.response.create()
    speech = Speech()
    async for event in connection:
        if event.type == "response.output_audio.delta":
            speech.item_id = event.item_id
            speech.pcm += base64.b64decode(event.delta)  # give it to your player here
            if stop_after is not None and len(speech.pcm) >= stop_after * 48000:
                await connection.response.cancel()
                await connection.conversation.item.truncate(
                    item_id=event.item_id, content_index=0, audio_end_ms=round(stop_after * 1000)
                )
                stop_after = None
        elif event.type == "response.output_audio_transcript.done":
            speech.transcript = event.transcript
        elif event.type == "error":
            raise RuntimeError(event.error.message)
        elif event.type == "response.done":
            speech.status = event.response.status or ""
            return speech
    raise ConnectionError("the connection ended before the response did")


async def remembered(connection: AsyncRealtimeConnection, item_id: str) -> str:
    """The words of an item as the conversation holds them: after a stop, those that were heard."""
    await connection.conversation.item.retrieve(item_id=item_id)
    async for event in connection:
        if event.type == "conversation.item.retrieved":
            return "".join(part.transcript or "" for part in event.item.content)
        if event.type == "error":
            raise RuntimeError(event.error.message)
    raise ConnectionError("the connection ended before the item came")


async def main() -> None:
    parser = argparse.ArgumentParser(description="Speak over the Realtime socket.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", default="speech.wav")
    parser.add_argument("--voice", default="ada")
    parser.add_argument("--stop-after", type=float, metavar="SECONDS")
    options = parser.parse_args()

    async with client().realtime.connect(model="voiced") as connection:
        await connection.session.update(
            session={"type": "realtime", "audio": {"output": {"voice": options.voice}}},
        )
        speech = await say(connection, options.text, options.stop_after)
        print(speech.status, await remembered(connection, speech.item_id))
    with wave.open(options.output, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(speech.pcm)


if __name__ == "__main__":
    asyncio.run(main())
