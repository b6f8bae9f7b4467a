"""Train on your own recordings: a folder of clips to codes, and these to conversations, for any checkpoint.

    python -m training.recordings FOLDER WORK --checkpoint CHECKPOINT [--codec CODEC]

FOLDER has the layout of the Higgs training repositories (`training.speech.read_folder`; ms-swift's JSONL is converted
by `training.swift`). The clips go through the checkpoint's own codec; WORK gets `recordings.npz` and `recordings.json`,
and `python -m training.language WORK --from CHECKPOINT` trains on what it finds there. Nobody knows which phone sounds
when, so no attention is guided.

Prompts are rendered by the code that serves them, with the checkpoint's chat template, tokenizer and front end."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from codec_stream.codec_config import CodecConfig
from codec_stream.encoder import Encoder
from codec_stream.weights import load_codec_weights
from realtime.engine.models.higgs_v2.checkpoint import Checkpoint, open_checkpoint
from realtime.engine.models.higgs_v2.prompter import Prompter
from realtime.request import Clip as SentClip
from realtime.request import Reference, Voicing
from realtime.text import front_end
from training import prompt
from training.batches import Sample, batches, delayed, following
from training.higgs import IGNORE, Batch
from training.speech import Clip, read_folder

REFERENCE = 0.5  # of conversations: a clip of the same speaker comes first, and no name is said


@dataclass(frozen=True)
class Recordings:
    """Holds clips as codes, with what was said and by whom."""

    codes: np.ndarray  # [frames, codebooks]
    starts: np.ndarray  # [clips + 1]
    texts: list[str]
    speakers: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def clip(self, index: int) -> np.ndarray:
        return self.codes[self.starts[index] : self.starts[index + 1]]


def encode(clips: Iterator[Clip], encode_wave: Callable[[np.ndarray], np.ndarray]) -> Recordings:
    """Encode every clip by `encode_wave`, which turns [n] float32 into [frames, codebooks].

    Raises ValueError where there are no clips.
    """
    codes, texts, speakers = [], [], []
    for clip in clips:
        codes.append(encode_wave(clip.samples))
        texts.append(clip.text)
        speakers.append(clip.speaker)
    if not codes:
        raise ValueError("metadata.json names no clips: its list `samples` is empty")
    return Recordings(np.concatenate(codes), np.cumsum([0, *map(len, codes)]), texts, speakers)


def write(work: Path, recordings: Recordings) -> None:
    work.mkdir(parents=True, exist_ok=True)
    np.savez(work / "recordings.npz", codes=recordings.codes, starts=recordings.starts)
    clips = [
        {"text": text, "speaker": speaker} for text, speaker in zip(recordings.texts, recordings.speakers, strict=True)
    ]
    (work / "recordings.json").write_text(json.dumps(clips, ensure_ascii=False, indent=1), encoding="utf-8")


def read(work: Path) -> Recordings:
    data = np.load(work / "recordings.npz")
    clips = json.loads((work / "recordings.json").read_text(encoding="utf-8"))
    return Recordings(
        data["codes"].astype(np.int64),
        data["starts"],
        [clip["text"] for clip in clips],
        [clip["speaker"] for clip in clips],
    )


class RecordingSampler:
    """Draws conversations from `clips`: a clip by a speaker named in the scene, or after another clip of the same
    speaker.

    A conversation has at most `limit` positions. Longer ones are left out; raises ValueError if no clip is shorter.
    """

    def __init__(self, recordings: Recordings, checkpoint: Checkpoint, seed: int, limit: int, clips: range) -> None:
        self._recordings, self._clips, self._limit = recordings, clips, limit
        self._bos, self._eos = checkpoint.config.stream_bos, checkpoint.config.stream_eos
        self._prompter = Prompter(checkpoint, front_end(checkpoint.manifest.front_end))
        self._closing = np.array(
            checkpoint.tokenizer.encode(prompt.AUDIO_EOS + prompt.EOT, add_special_tokens=False).ids, np.int64
        )
        self._draw = random.Random(seed)
        self._by: dict[str, list[int]] = {}
        for index in clips:
            self._by.setdefault(recordings.speakers[index], []).append(index)
        if all(self.sample(index, None).length > limit for index in clips):
            raise ValueError(f"no clip fits into {limit} positions: cut the recordings, or raise the limit")

    def sample(self, index: int, reference: int | None) -> Sample:
        """Return the conversation in which clip `index` is spoken, after the clip `reference` or by its speaker's
        name.
        """
        recordings = self._recordings
        if reference is None:
            voicing = Voicing(voice=recordings.speakers[index])
        else:
            voicing = Voicing(references=[Reference(recordings.texts[reference], SentClip(b""))])
        tokens = self._prompter.prompt(voicing, [], recordings.texts[index], lambda _: self._rows(reference or 0))
        sample = Sample()
        spoken = tokens[:, -1] >= 0  # text positions hold one id and nothing behind it
        for start, end in _runs(spoken):
            if spoken[start]:
                sample.audio(tokens[start:end], np.full_like(tokens[start:end], IGNORE))
            else:
                sample.text(tokens[start:end, 0])
        rows = self._rows(index)
        sample.audio(rows, following(rows, self._bos, self._eos))
        sample.text(self._closing)
        return sample

    def batches(self, positions: int) -> Iterator[Batch]:
        """Yield batches of about `positions` positions, without end."""
        return batches(self._drawn, positions, self._draw)

    def _drawn(self) -> Sample:
        while True:
            index = self._draw.choice(self._clips)
            others = [other for other in self._by[self._recordings.speakers[index]] if other != index]
            reference = self._draw.choice(others) if others and self._draw.random() < REFERENCE else None
            sample = self.sample(index, reference)
            if sample.length <= self._limit:
                return sample

    def _rows(self, index: int) -> np.ndarray:
        return delayed(self._recordings.clip(index), self._bos, self._eos)


def _runs(marks: np.ndarray) -> Iterator[tuple[int, int]]:
    """Return start and end of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), len(marks)]
    return pairwise(edges)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--checkpoint", required=True, help="the checkpoint to be trained on")
    parser.add_argument("--codec", help="where its codec is, if not beside it")
    parser.add_argument("--device", default="cpu")
    o = parser.parse_args()
    codec = open_checkpoint(o.checkpoint, o.codec).codec_folder
    encoder = Encoder(CodecConfig.from_json(codec / "config.json"), load_codec_weights(codec), o.device)
    found = encode(read_folder(o.folder), encoder.encode)
    write(o.work, found)
    print(f"{len(found)} clips, {len(found.codes)} frames, {len(set(found.speakers))} speakers")


if __name__ == "__main__":
    main()
