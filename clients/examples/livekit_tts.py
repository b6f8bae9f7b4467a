"""LiveKit's text-to-speech plugins, pointed at voiced: openai.TTS for whole texts, cartesia.TTS for words as they come.

    python livekit_tts.py "The train leaves at nine." -o train.wav --plugin openai
    python livekit_tts.py "The train leaves at nine." -o train.wav --plugin cartesia

Only `base_url` differs from the hosted APIs. VOICE_SERVER and VOICE_KEY name another server than this machine's.
In a worker, give either to `AgentSession(tts=…)`.
"""

import argparse
import asyncio
import os
import wave

import aiohttp
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.plugins import cartesia, openai

URL = os.environ.get("VOICE_SERVER", "http://127.0.0.1:8080")
KEY = os.environ.get("VOICE_KEY", "none")


async def whole(text: str, voice: str, response_format: str = "mp3", url: str = URL, key: str = KEY) -> bytes:
    """16-bit mono PCM at 24 kHz through openai.TTS, which asks for server-sent events."""
    async with openai.TTS(base_url=f"{url}/v1", api_key=key, voice=voice, response_format=response_format) as speaker:
        frame = await speaker.synthesize(text).collect()
    return bytes(frame.data)


async def streamed(
    words: list[str], voice: str, url: str = URL, key: str = KEY, stop_after: float | None = None
) -> tuple[bytes, list[tuple[str, float, float]]]:
    """The same through cartesia.TTS, fed word by word, and where each word is said, in seconds. With `stop_after`,
    the stream is left once so many seconds have come."""
    pcm, timed = b"", []
    async with (
        aiohttp.ClientSession() as http,
        cartesia.TTS(base_url=url, api_key=key, voice=voice, http_session=http) as speaker,
        speaker.stream() as stream,
    ):
        for word in words:
            stream.push_text(word)
        stream.end_input()
        async for audio in stream:
            pcm += bytes(audio.frame.data)
            said: list = audio.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
            timed += [(str(word), word.start_time, word.end_time) for word in said]
            if stop_after is not None and len(pcm) >= stop_after * 48000:
                break
    return pcm, timed


async def main() -> None:
    parser = argparse.ArgumentParser(description="Speak with LiveKit's text-to-speech plugins.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", default="speech.wav")
    parser.add_argument("--voice", default="ada")
    parser.add_argument("--plugin", choices=["openai", "cartesia"], default="cartesia")
    options = parser.parse_args()

    if options.plugin == "openai":
        pcm = await whole(options.text, options.voice)
    else:
        pcm, timed = await streamed([word + " " for word in options.text.split()], options.voice)
        for word, start, end in timed:
            print(f"{start:6.2f} {end:6.2f} {word}")
    with wave.open(options.output, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(pcm)


if __name__ == "__main__":
    asyncio.run(main())
