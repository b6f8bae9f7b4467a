"""Speech over HTTP with openai-python: whole files in any format, PCM while it is made, and server-sent events.

    python openai_speech.py "The train leaves at nine." -o train.mp3
    python openai_speech.py "The train leaves at nine." -o train.pcm
    python openai_speech.py "The train leaves at nine." -o train.wav --sse

Only `base_url` differs from the hosted API. VOICE_SERVER and VOICE_KEY name another server than this machine's.
"""

import argparse
import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

from openai import OpenAI

URL = os.environ.get("VOICE_SERVER", "http://127.0.0.1:8080")
KEY = os.environ.get("VOICE_KEY", "none")


def client(url: str = URL, key: str = KEY) -> OpenAI:
    """openai-python, pointed at voiced."""
    return OpenAI(base_url=f"{url}/v1", api_key=key)


def streamed(openai: OpenAI, text: str, voice: str, response_format: str) -> Iterator[bytes]:
    """Bytes of the file as they are made; `pcm` is 16-bit mono at 24 kHz without a header."""
    with openai.audio.speech.with_streaming_response.create(
        model="voiced", voice=voice, input=text, response_format=response_format
    ) as response:
        yield from response.iter_bytes()


def events(openai: OpenAI, text: str, voice: str, response_format: str) -> Iterator[dict]:
    """The same as events: `speech.audio.delta` with base64 audio, `speech.audio.done` with what it took."""
    with openai.audio.speech.with_streaming_response.create(
        model="voiced", voice=voice, input=text, response_format=response_format, stream_format="sse"
    ) as response:
        for line in response.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield json.loads(line.removeprefix("data: "))


def main() -> None:
    parser = argparse.ArgumentParser(description="Speech over HTTP.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", default="speech.mp3", help="its suffix names the format")
    parser.add_argument("--voice", default="ada")
    parser.add_argument("--sse", action="store_true", help="as server-sent events")
    options = parser.parse_args()

    kind = Path(options.output).suffix.removeprefix(".")
    if options.sse:
        said = events(client(), options.text, options.voice, kind)
        chunks = (base64.b64decode(event["audio"]) for event in said if event["type"] == "speech.audio.delta")
    else:
        chunks = streamed(client(), options.text, options.voice, kind)
    with open(options.output, "wb") as file:
        for chunk in chunks:
            file.write(chunk)


if __name__ == "__main__":
    main()
