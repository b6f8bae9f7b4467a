"""LiveKit's openai.TTS and cartesia.TTS: whole texts, words with their times, and a stream that is left early."""

import asyncio
import sys

from facts import heard, tell
from livekit_tts import streamed, whole

STOP_AFTER_S = 0.8

MARKER = bytes(480)
"""10 ms of silence with which LiveKit itself marks the end of a segment whose last frame has gone out by then."""


async def main(first: str, long: str, last: str) -> None:
    as_pcm = await whole(first, "alloy", "pcm")
    as_mp3 = await whole(first, "ada", "mp3")
    pcm, timed = await streamed([word + " " for word in last.split()], "ada")
    cut, _ = await streamed([word + " " for word in long.split()], "ada", stop_after=STOP_AFTER_S)
    tell(
        openai=heard(as_pcm.removesuffix(MARKER)),
        mp3=heard(as_mp3),
        cartesia=heard(pcm.removesuffix(MARKER), timed=timed),
        cut=heard(cut),
    )


asyncio.run(main(*sys.argv[1:]))
