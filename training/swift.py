"""ms-swift's JSONL (`messages` and `audios`) to the folder layout of the Higgs training repositories.

    python -m training.swift DATA.jsonl FOLDER

One line is one conversation. Of each the pairs of a text and a clip are taken, whichever way round they stand: a user
asks for a text and the assistant speaks it (speech synthesis), or a user gives a clip and the assistant writes it
down (recognition). `<audio>` in a message stands for the next file of `audios`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from codec_stream.rate import SAMPLE_RATE
from training.speech import HOP, Clip, write_folder

MARK = "<audio>"


def pairs(line: dict[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield (text, audio file, speaker) of one conversation. Raises ValueError where marks and files do not match."""
    messages, audios = line.get("messages"), line.get("audios")
    if not isinstance(messages, list) or not isinstance(audios, list):
        raise ValueError("a line needs the lists `messages` and `audios`")
    files = iter(audios)
    speaker = str(line.get("speaker") or "speaker")
    text, clip = "", ""
    for message in messages:
        content = str(message["content"])
        if message["role"] == "system":
            continue
        for _ in range(content.count(MARK)):
            clip = next(files, "")
            if not clip:
                raise ValueError(f"there are more {MARK} marks than files in `audios`")
        words = content.replace(MARK, "").strip()
        if words and not (clip and text):
            text = words
        if message["role"] == "assistant":
            if text and clip:
                yield text, clip, speaker
            text, clip = "", ""
    if next(files, ""):
        raise ValueError(f"there are more files in `audios` than {MARK} marks")


def clips(source: Path) -> Iterator[Clip]:
    """Yield the clips of a JSONL file; relative audio paths start at its folder. Raises ValueError that names the
    line.
    """
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = list(pairs(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{source}, line {number}: {error}") from error
        for text, audio, speaker in found:
            samples, rate = soundfile.read(source.parent / audio, dtype="float32", always_2d=True)
            mono = soxr.resample(samples.mean(1), rate, SAMPLE_RATE)
            yield Clip(text, speaker, np.pad(mono, (0, -len(mono) % HOP)).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    print(f"{write_folder(options.folder, clips(options.source))} clips in {options.folder}")


if __name__ == "__main__":
    main()
