"""openai-python's transcriptions and translations: each format, times of words, events as they come, a refusal."""

import sys
from pathlib import Path
from typing import Any

import openai
from facts import tell
from openai_speech import client


def main(recording: str) -> None:
    audio = client().audio
    file = Path(recording)

    def ask(**more: Any) -> Any:
        return audio.transcriptions.create(model="whisper-1", file=file, **more)

    told = ask(language="en", prompt="Sense and Sensibility", temperature=0)
    verbose = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    events = [event.to_dict() for event in ask(stream=True)]
    english = audio.translations.create(model="whisper-1", file=file)
    try:
        audio.transcriptions.create(model="whisper-1", file=("notes.txt", b"no recording"))
    except openai.BadRequestError as error:
        refused = {"status": error.status_code, "code": error.code, "param": error.param}
    tell(
        text=told.text,
        seconds=told.usage.seconds,
        language=verbose.language,
        duration=verbose.duration,
        words=[[word.word, word.start, word.end] for word in verbose.words],
        segments=[[segment.text, segment.start, segment.end] for segment in verbose.segments],
        events=events,
        srt=ask(response_format="srt"),
        vtt=ask(response_format="vtt"),
        plain=ask(response_format="text"),
        english=english.text,
        refused=refused,
    )


main(*sys.argv[1:])
