"""openai-python's speech endpoint: raw PCM and a container as they are made, whole, and as server-sent events."""

import base64
import sys
from pathlib import Path

from facts import heard, tell
from openai_speech import client, events, streamed


def main(text: str, folder: str) -> None:
    openai = client()
    raw = list(streamed(openai, text, "alloy", "pcm"))
    whole = openai.audio.speech.create(model="voiced", voice="ada", input=text, response_format="pcm").read()
    wav = b"".join(streamed(openai, text, "ada", "wav"))
    Path(folder, "speech.mp3").write_bytes(b"".join(streamed(openai, text, "ada", "mp3")))
    told = list(events(openai, text, "ada", "pcm"))
    pcm = b"".join(base64.b64decode(event["audio"]) for event in told if event["type"] == "speech.audio.delta")
    tell(
        raw=heard(b"".join(raw), chunks=len(raw)),
        whole=heard(whole),
        wav=heard(wav[44:], header=wav[:44].hex()),
        sse=heard(pcm, kinds=[event["type"] for event in told], usage=told[-1].get("usage")),
    )


main(*sys.argv[1:])
