"""Puts training samples together: conversations made of clips, packed into batches.

A sample is a conversation of one to four turns, each a clip. All its turns are learned from, so earlier turns cost
nothing, and the model learns at once to speak from nothing, to keep the voice of a reference clip, and to go on after
its own speech. The voice is given in every way that is served: by a scene line, by a speaker tag with a name or with a
clip in the scene, by an earlier turn, or not at all. Some earlier turns are worn, as a clip is that went through the
codec's encoder: the model only hears their codes then, and does not learn from them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from training import prompt
from training.higgs import IGNORE, Batch

TURNS = (0.5, 0.32, 0.12, 0.06)
NO_SCENE = 0.45
ROOM = 0.5
SPEAKER_LINE = 0.3  # of scenes with one voice: "SPEAKER0: sam" and not just "sam"
TAGGED = 0.15
NO_CAST = 0.25  # of tagged conversations: the scene does not say whose voice each tag is
CAST_BY_CLIPS = 0.3  # of those with a cast: the scene holds a clip of each speaker and not the name
HIDDEN = 0.4  # of turns: their rows do not show the voice, so that each has to find it in what came before
WORN = 0.5  # of first turns that others follow and that give the voice
JOINED = 0.25  # of turns: a second sentence follows in the same breath
ODD_SYSTEM = 0.04
ODD_SCENE = 0.08
ODD_LETTERS = "eeeetttaaaooooiiinnnsshhrrdlucmfwypvbgkjxqz      ABCDEFGHIJKLMNOPRSTUW.,'-0123"


@dataclass(frozen=True)
class Corpus:
    """Holds all clips of `speech.npz`.

    It has content codes only: the last codebook is the voice's number, and is added when a voice speaks the clip.
    """

    codes: np.ndarray
    owners: np.ndarray
    symbols: np.ndarray  # token ids
    frame_starts: np.ndarray
    symbol_starts: np.ndarray

    def __len__(self) -> int:
        return len(self.frame_starts) - 1

    def clip(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the codes [frames, K - 1], the owners [frames] and the symbols of a clip."""
        frames = slice(self.frame_starts[index], self.frame_starts[index + 1])
        symbols = slice(self.symbol_starts[index], self.symbol_starts[index + 1])
        return self.codes[frames], self.owners[frames], self.symbols[symbols]


def load_corpus(work: Path, tokenizer: Tokenizer) -> Corpus:
    """Read the corpus that `work` holds."""
    import json

    data = np.load(work / "speech.npz")
    vocabulary = json.loads((work / "vocabulary.json").read_text(encoding="utf-8"))
    ids = np.array([tokenizer.token_to_id(symbol) for symbol in vocabulary], np.int64)
    return Corpus(
        data["codes"].astype(np.int64),
        data["owners"].astype(np.int64),
        ids[data["symbols"]],
        data["frame_starts"],
        data["symbol_starts"],
    )


def delayed(codes: np.ndarray, bos: int, eos: int) -> np.ndarray:
    """Delay codes [T, K] into rows [T + 1 + K, K]: codebook k starts k + 1 rows late, with BOS before it and EOS behind
    it.
    """
    frames, books = codes.shape
    rows = np.full((frames + 1 + books, books), eos, np.int64)
    for book in range(books):
        rows[: book + 1, book] = bos
        rows[book + 1 : book + 1 + frames, book] = codes[:, book]
    return rows


def following(rows: np.ndarray, bos: int, eos: int) -> np.ndarray:
    """Return the label of each row: the row behind it, without what is forced (BOS, and EOS after its first)."""
    labels = np.full_like(rows, IGNORE)
    labels[:-1] = rows[1:]
    labels[labels == bos] = IGNORE
    labels[:-1][(rows[1:] == eos) & (rows[:-1] == eos)] = IGNORE
    return labels


@dataclass
class Sample:
    """Holds one conversation as runs of text ids and rows, with labels; `guide` has (row position, text position)
    pairs.
    """

    runs: list[tuple[str, np.ndarray]] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    guide: list[tuple[int, int]] = field(default_factory=list)
    length: int = 0

    def text(self, ids: np.ndarray) -> int:
        """Append text, and return where it starts."""
        start = self.length
        self.runs.append(("text", ids))
        self.length += len(ids)
        return start

    def audio(self, rows: np.ndarray, labels: np.ndarray) -> int:
        """Append rows with their labels, and return where they start."""
        start = self.length
        self.runs.append(("audio", rows))
        self.labels.append(labels)
        self.length += len(rows)
        return start


class Sampler:
    """Draws conversations from `clips`. One conversation has at most `limit` positions."""

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        voices: list[str],
        codebook_size: int,
        seed: int,
        limit: int,
        clips: range,
    ) -> None:
        self._clips = clips
        self._corpus, self._tokenizer, self._voices, self._limit = corpus, tokenizer, voices, limit
        self._bos, self._eos = codebook_size - 2, codebook_size - 1
        self._draw = random.Random(seed)
        self._ids: dict[str, np.ndarray] = {}

    def encode(self, text: str) -> np.ndarray:
        """Return the token ids of a text."""
        if text not in self._ids:
            self._ids[text] = np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
        return self._ids[text]

    def sample(self, indices: list[int] | None = None, voice: int | None = None) -> Sample:
        """Draw a random conversation; with `indices` given, one of those clips, by one voice named in the scene."""
        draw, plain = self._draw, indices is not None
        turns = draw.choices(range(1, len(TURNS) + 1), TURNS)[0] if indices is None else len(indices)
        tagged = not plain and draw.random() < TAGGED
        named = plain or (draw.random() > (NO_CAST if tagged else NO_SCENE))
        cast = [voice] if voice is not None else draw.sample(range(len(self._voices)), len(self._voices))
        if not named and (tagged or turns == 1):
            cast = sorted(cast)  # the default voice first, the others in their order
        speaking = draw.randrange(1, len(cast) + 1) if tagged else 1
        sample = Sample()
        self._opening(sample, cast, speaking, named, tagged, plain)
        # A voice that was not asked for can only be guessed in the first turn. From then on that turn gives it.
        guessed = not named and turns > 1
        for turn in range(turns):
            who = draw.randrange(speaking) if tagged else 0
            clips = [(indices[turn] if indices else self._pick(cast[who]), who)]
            if not plain and draw.random() < JOINED:
                second = draw.randrange(speaking) if tagged and draw.random() < 0.5 else who
                clips.append((self._pick(cast[second]), second))
            if turn and sample.length + self._size(clips) > self._limit:
                break
            first = guessed and turn == 0
            worn = first and not tagged and draw.random() < WORN
            hidden = not plain and not first and draw.random() < HIDDEN
            self._turn(sample, clips, cast, tagged, guessed=first, worn=worn, hidden=hidden)
        return sample

    def _opening(self, sample: Sample, cast: list[int], speaking: int, named: bool, tagged: bool, plain: bool) -> None:
        system = self._system(tagged, plain)
        if not (tagged and named and self._draw.random() < CAST_BY_CLIPS):
            scene = "\n".join(self._scene(cast, speaking, named, tagged))
            sample.text(np.array(self._tokenizer.encode(prompt.opening(scene, system), add_special_tokens=False).ids))
            return
        before, after = prompt.opening("@", system).split("@")
        lines = "".join(line + "\n" for line in self._scene(cast, speaking, named=False, tagged=True))
        for speaker in range(speaking):
            piece = (before + lines if not speaker else "\n") + f"SPEAKER{speaker}:\n{prompt.AUDIO_BOS}"
            sample.text(np.array(self._tokenizer.encode(piece, add_special_tokens=False).ids))
            content = self._corpus.clip(self._pick(cast[speaker]))[0]
            rows = delayed(self._by(self._worn(content), cast[speaker]), self._bos, self._eos)
            sample.audio(rows, np.full_like(rows, IGNORE))
            sample.text(self.encode(prompt.AUDIO_EOS))
        sample.text(self.encode(after))

    def _pick(self, voice: int) -> int:
        """Draw a clip that `voice` can speak. Here that is any clip."""
        return self._draw.choice(self._clips)

    def _by(self, content: np.ndarray, voice: int) -> np.ndarray:
        """Return content codes [T, K - 1] as spoken by `voice`, [T, K]."""
        return np.concatenate([content, np.full((len(content), 1), voice)], 1)

    def _worn(self, content: np.ndarray) -> np.ndarray:
        """Return content as an encoder that is not sure gives it: some codes are others, most of all the fine ones."""
        noise = np.random.default_rng(self._draw.getrandbits(32))
        wrong = noise.random(content.shape) < noise.uniform(0.0, 1.0) * np.linspace(0.6, 1.0, content.shape[1])
        return np.where(wrong, noise.integers(0, self._bos, content.shape), content)

    def _hide(self, rows: np.ndarray) -> None:
        """Take the voice out of rows, in place."""
        rows[rows[:, -1] != self._eos, -1] = self._bos

    def _scene(self, cast: list[int], speaking: int, named: bool, tagged: bool) -> list[str]:
        draw = self._draw
        lines = [prompt.ROOM] if draw.random() < ROOM else []
        if not tagged and draw.random() < ODD_SCENE:  # whatever a user describes: it must not change the words
            lines = [self._odd_text(90) for _ in range(draw.randrange(1, 3))]
        if not named:
            return lines
        if not tagged and draw.random() > SPEAKER_LINE:
            return [*lines, self._voices[cast[0]]]
        return [*lines, *(f"SPEAKER{i}: {self._voices[cast[i]]}" for i in range(speaking))]

    def _system(self, tagged: bool, plain: bool) -> str:
        """Return the instruction that is served, or now and then another, since it must not matter."""
        if plain or self._draw.random() > ODD_SYSTEM:
            return prompt.SEVERAL if tagged or (not plain and self._draw.random() < 0.05) else prompt.SYSTEM
        return self._odd_text(60)

    def _odd_text(self, longest: int) -> str:
        return "".join(self._draw.choice(ODD_LETTERS) for _ in range(self._draw.randrange(1, longest)))

    def _size(self, clips: list[tuple[int, int]]) -> int:
        return 24 + sum(len(part) for index, _ in clips for part in self._corpus.clip(index)[1:])

    def _turn(
        self,
        sample: Sample,
        clips: list[tuple[int, int]],
        cast: list[int],
        tagged: bool,
        guessed: bool,
        worn: bool,
        hidden: bool,
    ) -> None:
        codes, sources = [], []
        position = sample.text(self.encode(prompt.HEADER + "user" + prompt.HEADER_END)) + 3
        for number, (index, who) in enumerate(clips):
            content, owners, symbols = self._corpus.clip(index)
            lead = " " if number else ""
            if tagged and not (number and clips[0][1] == who):
                lead = ("\n" if number else "") + f"[SPEAKER{who}] "
            if lead:
                position += len(self.encode(lead))
                sample.text(self.encode(lead))
            sample.text(symbols)
            codes.append(self._by(self._worn(content) if worn else content, cast[who]))
            sources.append(owners + position)
            position += len(symbols)
        sample.text(self.encode(prompt.EOT + prompt.ASSISTANT))
        rows = delayed(np.concatenate(codes), self._bos, self._eos)
        labels = following(rows, self._bos, self._eos)
        if guessed:
            labels[:, -1] = IGNORE
        if worn:
            labels[:] = IGNORE
        if hidden:
            # Hidden rows look as rows do before a turn's first frame is whole. In these the voice has to be found anew,
            # which a turn otherwise asks for only once.
            self._hide(rows)
        start = sample.audio(rows, labels)
        if worn:
            sample.text(self.encode(prompt.AUDIO_EOS + prompt.EOT))
            return
        sample.guide += [(start + row, int(source)) for row, source in enumerate(np.concatenate(sources))]
        sample.text(self.encode(prompt.AUDIO_EOS + prompt.EOT))

    def batches(self, positions: int) -> Iterator[Batch]:
        """Yield batches of about `positions` positions, without end."""
        return batches(self.sample, positions, self._draw)


def batches(drawn: Callable[[], Sample], positions: int, draw: random.Random, pool: int = 12) -> Iterator[Batch]:
    """Yield batches of about `positions` positions without end, each of conversations of about one length."""
    while True:
        samples: list[Sample] = []
        while sum(sample.length for sample in samples) < pool * positions:
            samples.append(drawn())
        samples.sort(key=lambda sample: sample.length)
        groups: list[list[Sample]] = [[]]
        for sample in samples:
            if sum(other.length for other in groups[-1]) + sample.length > positions and groups[-1]:
                groups.append([])
            groups[-1].append(sample)
        draw.shuffle(groups)
        for group in groups:
            yield pack(group)


GUIDE_WINDOW = (-1, 0, 1)


def pack(samples: list[Sample]) -> Batch:
    """Pack samples: the text positions of all of them first, then the audio positions; see `Batch`."""
    length = max(sample.length for sample in samples)
    texts = sum(len(run) for sample in samples for kind, run in sample.runs if kind == "text")
    order = np.zeros((len(samples), length), np.int64)
    flat_text, flat_audio = [], []
    guide_rows, guide_keys = [], []
    audio_seen = text_seen = 0
    for number, sample in enumerate(samples):
        at = 0
        packed_of: dict[int, int] = {}
        for kind, run in sample.runs:
            place = np.arange(at, at + len(run))
            if kind == "text":
                order[number, place] = text_seen + np.arange(len(run))
                flat_text.append(number * length + place)
                text_seen += len(run)
            else:
                order[number, place] = texts + audio_seen + np.arange(len(run))
                flat_audio.append(number * length + place)
                packed_of.update(zip(place.tolist(), range(audio_seen, audio_seen + len(run)), strict=True))
                audio_seen += len(run)
            at += len(run)
        for row, source in sample.guide:
            guide_rows.append(packed_of[row])
            guide_keys.append([source + shift for shift in GUIDE_WINDOW])
    text_runs = [run for sample in samples for kind, run in sample.runs if kind == "text"]
    audio_runs = [run for sample in samples for kind, run in sample.runs if kind == "audio"]
    positions = np.concatenate(flat_text + flat_audio)
    return Batch(
        torch.from_numpy(np.concatenate(text_runs)),
        torch.from_numpy(np.concatenate(audio_runs)),
        torch.from_numpy(order),
        torch.from_numpy(positions),
        torch.from_numpy(np.concatenate([labels for sample in samples for labels in sample.labels])),
        torch.full((len(positions),), IGNORE),
        torch.tensor(guide_rows, dtype=torch.long),
        torch.tensor(guide_keys, dtype=torch.long).view(len(guide_rows), len(GUIDE_WINDOW)),
    )
