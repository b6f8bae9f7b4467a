"""openai-python in a translation session: settings, words and the audio they were said in, then its close."""

import asyncio
import base64
import sys

from facts import heard, tell
from openai_realtime import client

FRAME = base64.b64encode(bytes(9600)).decode()
"""200 ms of silence: nobody listens there yet, the words are given."""


async def main(words: str, language: str) -> None:
    pcm, source, target, kinds = b"", "", "", []
    async with client().realtime.translations.connect(model="voiced") as connection:
        await connection.session.update(
            session={"audio": {"input": {"transcription": {"model": "given"}}, "output": {"language": language}}}
        )
        for _ in range(5):
            await connection.session.input_audio_buffer.append(audio=FRAME)
        await connection.send({"type": "session.input_transcript.append", "text": words})
        await connection.session.close()
        async for event in connection:
            kinds.append(event.type)
            if event.type == "session.output_audio.delta":
                pcm += base64.b64decode(event.delta)
            elif event.type == "session.input_transcript.delta":
                source += event.delta
            elif event.type == "session.output_transcript.delta":
                target += event.delta
            elif event.type == "error":
                raise RuntimeError(event.error.message)
            elif event.type == "session.closed":
                break
    tell(heard=heard(pcm), source=source, target=target, kinds=kinds)


asyncio.run(main(*sys.argv[1:]))
