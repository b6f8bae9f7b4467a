"""Speech by the teacher, many hours of it, in shards.

    python -m training.voice.corpus WORK --clauses 36000 [--hours 1] [--minutes 60]

A clause is spoken by one speaker, in turn. A shard holds `SHARD` clauses and is written whole, so the stage goes on
with the first one that is missing. `--hours` ends it when WORK holds so much speech, `--minutes` when so much time is
spent; a later call with the same `--clauses` goes on with the same texts. An hour of speech takes 34 MB and, by the
short way, twelve minutes of one core."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from realtime.text import to_phonemes
from training.speech import FRAME_S
from training.voice.rows import PARTS
from training.voice.speakers import SPEAKERS
from training.voice.teacher import Synthesiser
from training.voice.text import clauses
from training.voice.utterance import Utterance, f0_values

SHARD = 100
SEED = 7


def build(
    work: Path, teacher: Synthesiser, count: int, hours: float = float("inf"), minutes: float = float("inf")
) -> None:
    """Speak `count` clauses, `SHARD` a shard, or as many as make `hours` of speech or fit into `minutes`."""
    folder = work / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    texts: list[str] = []
    began, held = time.monotonic(), 0.0
    for shard in range(-(-count // SHARD)):
        path = folder / f"{shard:05d}.npz"
        if path.exists():
            held += int(np.load(path)["frames"].sum()) * FRAME_S / 3600
            continue
        if held >= hours or time.monotonic() - began > 60 * minutes:
            return
        texts = texts or clauses(count, SEED)
        numbers = range(shard * SHARD, min(count, (shard + 1) * SHARD))
        spoken = [teacher.say(to_phonemes(texts[n]), SPEAKERS[n % len(SPEAKERS)].name) for n in numbers]
        _write(path, spoken, [n % len(SPEAKERS) for n in numbers], [texts[n] for n in numbers])
        held += sum(utterance.frames for utterance in spoken) * FRAME_S / 3600
        print(f"corpus: shard {shard}, {held:.2f} h, {time.monotonic() - began:.0f} s", flush=True)


def _write(path: Path, spoken: list[Utterance], speakers: list[int], texts: list[str]) -> None:
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        rows=np.concatenate([utterance.rows for utterance in spoken]).astype(np.float16),
        f0=np.concatenate([utterance.f0 for utterance in spoken]).astype(np.float16),
        owner=np.concatenate([utterance.owner for utterance in spoken]),
        frames=np.array([utterance.frames for utterance in spoken], np.int32),
        notation=np.array([utterance.notation for utterance in spoken]),
        text=np.array(texts),
        speaker=np.array(speakers, np.uint8),
    )
    os.replace(partial, path)


def read(work: Path, shards: int | None = None) -> Iterator[tuple[int, str, Utterance]]:
    """Yield speaker, text and utterance of every clause that is there."""
    for path in sorted((work / "corpus").glob("[0-9]*[0-9].npz"))[:shards]:
        held = np.load(path)
        rows, f0, owner = held["rows"], held["f0"], held["owner"]
        end = end_f0 = 0
        for index, frames in enumerate(held["frames"].tolist()):
            begin, begin_f0 = end, end_f0
            end, end_f0 = begin + frames, begin_f0 + f0_values(frames)
            utterance = Utterance(
                str(held["notation"][index]),
                rows[begin * PARTS : end * PARTS].astype(np.float32),
                f0[begin_f0:end_f0].astype(np.float64),
                owner[begin:end],
            )
            yield int(held["speaker"][index]), str(held["text"][index]), utterance


def main() -> None:
    import torch

    from training.voice.shortcut import Teacher

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--clauses", type=int, default=36_000)
    parser.add_argument("--hours", type=float, default=float("inf"), help="of speech that WORK holds then")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of work")
    o = parser.parse_args()
    torch.set_num_threads(1)
    build(o.work, Teacher(o.work), o.clauses, o.hours, o.minutes)


if __name__ == "__main__":
    main()
