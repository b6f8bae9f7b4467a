"""Scope: `voiced bench ears`: what Whisper with a short context understands of people, and what that costs.

Every recording is decoded twice, by the same weights on one thread: as voiced does (the speech and a second more,
longer contexts where that says things again or doubts), and with 30 s of context always. Sounds without words are
decoded as voiced does: each text that comes of one is a hallucination. CPU is the process's own time, with features.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any

from realtime.bench.ears_recordings import Recording, recordings, wordless, words_of
from realtime.bench.report import Table, add_common_arguments, environment, percentile_ms, progress
from realtime.config import ConfigError
from realtime.recognition.pieces import seconds
from realtime.recognition.recogniser import Job, NothingHeard
from realtime.recognition.weights import AUTO, WeightsMissing, find_weights

NAME = "ears"
HELP = "Whisper with a short context on people's speech: word error, CPU beside 30 s of context, made-up words"
_QUICK = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--weights", default=AUTO, help="auto, a folder or a hub id (default: %(default)s)")
    parser.add_argument("--model", default="", help="of the installed ones: tiny.en or base (default: as the server)")
    parser.add_argument("--every", type=int, default=1, help="take every n-th recording (default: all)")
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; keys as in the README. Raises ConfigError without weights or recordings."""
    decoder, full, name = _decoders(args.weights, args.model)
    taken = list(recordings())[:: args.every]
    sounds = list(wordless())
    if args.quick:
        taken, sounds = taken[: len(taken) // _QUICK * _QUICK : len(taken) // _QUICK], sounds[:: len(sounds) // _QUICK]
    progress(f"{len(taken)} recordings, twice")
    _heard(decoder, taken[0]), _heard(full, taken[0])  # what is made once is made before
    rows = [(one, _heard(decoder, one), _heard(full, one)) for one in taken]
    progress(f"{len(sounds)} sounds without words")
    made_up = [sound for sound, pcm in sounds if _text(decoder, pcm)]
    cpu, cpu_30s = [short[1] for _, short, _ in rows], [long[1] for _, _, long in rows]
    groups = []
    for group in dict.fromkeys(one.group for one in taken):
        of_it = [row for row in rows if row[0].group == group]
        groups.append({"group": group, "recordings": len(of_it), **_errors(of_it)})
    return {
        "benchmark": NAME,
        "quick": args.quick,
        "environment": environment(),
        "model": name,
        "recordings": len(taken),
        "speech_s": sum(seconds(one.pcm) for one in taken),
        **_errors(rows),
        "cpu_ratio_to_30s": sum(cpu) / sum(cpu_30s),
        "cpu_ms_p50": percentile_ms(cpu, 50),
        "cpu_ms_p95": percentile_ms(cpu, 95),
        "cpu_ms_p50_30s": percentile_ms(cpu_30s, 50),
        "cpu_ms_p95_30s": percentile_ms(cpu_30s, 95),
        "hallucinations": len(made_up),
        "sounds": len(sounds),
        "hallucinated": made_up,
        "groups": groups,
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """The result for people."""
    whole = {"group": "all", **result}
    keys = ("group", "recordings", "words", "word_error", "word_error_30s")
    rows = [[entry[key] for key in keys] for entry in (*result["groups"], whole)]
    cost = [
        ["as voiced does", result["cpu_ms_p50"], result["cpu_ms_p95"], result["cpu_ratio_to_30s"]],
        ["30 s of context", result["cpu_ms_p50_30s"], result["cpu_ms_p95_30s"], 1.0],
    ]
    sounds = f"words made up of {result['hallucinations']} of {result['sounds']} sounds without any"
    return [
        Table(f"ears: {result['model']}", ("speech", "recordings", "words", "word error", "with 30 s"), rows),
        Table("ears: CPU for a recording", ("context", "p50 ms", "p95 ms", "over 30 s"), cost, [sounds]),
    ]


def _decoders(weights: str, model: str) -> tuple[Any, Any, str]:
    os.environ["OMP_NUM_THREADS"] = "1"  # read as the library is loaded
    try:
        found = find_weights(weights, model)
        from realtime.recognition.decoding import ALWAYS_FULL, Decoder
        from realtime.recognition.loaded import LoadedWhisper
        from realtime.recognition.vocabulary import Vocabulary
    except WeightsMissing as error:
        raise ConfigError(str(error)) from None
    except ImportError as error:
        raise ConfigError(f"{error}: pip install 'voiced-server[ears]'.") from None
    whisper = LoadedWhisper(found.folder)
    vocabulary = Vocabulary(found.folder / "tokenizer.json", multilingual=whisper.multilingual)
    return Decoder(whisper, vocabulary), Decoder(whisper, vocabulary, ALWAYS_FULL), found.name


def _text(decoder: Any, pcm: bytes) -> str:
    try:
        text: str = decoder.understand(Job(pcm)).text
    except NothingHeard:
        return ""
    return text


def _heard(decoder: Any, recording: Recording) -> tuple[int, float]:
    """Words that are wrong, and seconds of CPU."""
    began = time.process_time()
    text = _text(decoder, recording.pcm)
    took = time.process_time() - began
    return distance(recording.words, words_of(text)), took


def _errors(rows: Sequence[tuple[Recording, tuple[int, float], tuple[int, float]]]) -> dict[str, float]:
    words = sum(len(one.words) for one, _, _ in rows)
    return {
        "words": words,
        "word_error": sum(short[0] for _, short, _ in rows) / words,
        "word_error_30s": sum(long[0] for _, _, long in rows) / words,
    }


def distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """How many words have to be put in, taken out or exchanged (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(said, 1):
        before, row[0] = row[0], at
        for to, other in enumerate(heard, 1):
            before, row[to] = row[to], min(before + (word != other), row[to] + 1, row[to - 1] + 1)
    return row[-1]
