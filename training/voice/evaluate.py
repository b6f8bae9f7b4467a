"""Measure a checkpoint on three hundred sentences that nothing is trained on, beside the teacher it learned from.

    python -m training.voice.evaluate WORK FOLDER [--limit 40] [--voice ada] [--sphinx] [--card] [--endings 2000]

For every voice and kind of sentence: word errors of Whisper base (or of pocketsphinx, with `--sphinx`) on the teacher
by the vocoder, on its codes by the trained decoder, on what encoder and decoder make of it, on our speech, and on our
speech over an 8 kHz mu-law line; our duration over the teacher's; how alike the pitch contours are; what did not
end."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from codec_stream import g711
from codec_stream.codec_config import CodecConfig
from codec_stream.encoder import Encoder
from codec_stream.rate import SAMPLE_RATE
from codec_stream.weights import load_codec_weights
from realtime.text import to_phonemes
from training import measure, sentences
from training.codec_folder import DECODER, stock_decoder
from training.evaluate import write_card
from training.levels import Levels
from training.prepare import sentences as clauses
from training.speak import Speaker
from training.speech import HOP
from training.voice import books, ears, phase, pitch, text
from training.voice.quantizer import Quantizer
from training.voice.speakers import SPEAKERS, VOICES
from training.voice.teacher import Synthesiser
from training.voice.utterance import Utterance

LINE_RATE = 8_000
STAGES = ("teacher", "codec", "encoded", "ours", "line")
COLUMNS = ("voice", "kind", "sentences", *(f"WER {stage}" for stage in STAGES), "duration", "pitch", "no end")
ABOUT = """\
Sentences that no training text holds. WER: word error on the teacher's speech by the vocoder, on its codes by the
trained decoder, on what the codec's encoder and decoder make of it, on this checkpoint's speech through the engine with
its default sampling, and on that over an 8 kHz mu-law line. duration: ours over the teacher's. pitch: correlation of
the logarithms of both contours, ours stretched to the teacher's length. no end: utterances cut at 30 s."""


class Recogniser(Protocol):
    def words(self, samples: np.ndarray) -> list[str]: ...


class Whisper:
    """Recognises words by `ears.Ears`."""

    def __init__(self, folder: Path) -> None:
        self._ears = ears.Ears(folder)

    def words(self, samples: np.ndarray) -> list[str]:
        return measure.words_of(self._ears.text(samples))


class Codec:
    """Runs the codec of a checkpoint folder on whole clips."""

    def __init__(self, folder: Path, fitted: Quantizer) -> None:
        weights, config = load_codec_weights(folder), CodecConfig.from_json(folder / "config.json")
        self._encoder, self._decoder = Encoder(config, weights), stock_decoder(config).eval()
        part = {name.removeprefix(DECODER): value for name, value in weights.items() if name.startswith(DECODER)}
        self._decoder.load_state_dict(part)
        self._fitted, self._served = fitted, books.served(fitted)

    def say(self, utterance: Utterance, voice: int) -> np.ndarray:
        """Return an utterance as its codes give it, by `voice`."""
        pairs = phase.codes(utterance.knots(VOICES[voice].ratio))
        return self._decode(books.ids(self._fitted.encode(utterance.rows), pairs, voice))

    def again(self, wave: np.ndarray) -> np.ndarray:
        """Return a wave as encoder and decoder give it."""
        return self._decode(self._encoder.encode(wave.astype(np.float32)))

    @torch.no_grad()
    def _decode(self, ids: np.ndarray) -> np.ndarray:
        latents = torch.from_numpy(self._served.decode(ids).astype(np.float32)).T[None]
        wave: NDArray[np.float32] = self._decoder(latents)[0, 0].numpy()
        return wave


def line(wave: np.ndarray) -> np.ndarray:
    """Return a wave as a telephone line gives it: 8 kHz, mu-law."""
    narrow = (np.clip(soxr.resample(wave, SAMPLE_RATE, LINE_RATE), -1, 1) * 32767).astype(np.int16)
    heard = g711.decode_mulaw(g711.encode_mulaw(narrow)).astype(np.float32) / 32768
    wide: NDArray[np.float32] = soxr.resample(heard, LINE_RATE, SAMPLE_RATE)
    return wide


def likeness(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the correlation of two pitch contours in the logarithm, where both are voiced.

    `ours` is stretched to the length of `theirs` first. The result is 0 where too little of both is voiced.
    """
    if not len(ours):
        return 0.0
    place = np.round(np.linspace(0, len(ours) - 1, len(theirs))).astype(int)
    stretched = ours[place]
    both = (stretched > 0) & (theirs > 0)
    if both.sum() < 10:
        return 0.0
    return float(np.corrcoef(np.log(stretched[both]), np.log(theirs[both]))[0, 1])


def kinds() -> dict[str, list[str]]:
    """Return all held-out sentences by kind."""
    return {**sentences.held_out(), **{("talk" if k == "everyday" else k): v for k, v in text.held_out().items()}}


def evaluate(
    work: Path,
    folder: Path,
    teacher: Synthesiser,
    recogniser: Recogniser | None,
    names: list[str],
    limit: int,
    max_seconds: float = 30.0,
    report: Callable[[str], None] = print,
) -> tuple[list[dict[str, str]], list[str]]:
    """Measure every voice and kind: return a row for each, and the worst levels of every voice."""
    codec = Codec(folder / "codec", Quantizer.load(work / "quantizer.npz"))
    speaker = Speaker(folder, max_clause_s=max_seconds)
    rows, levels = [], []
    for number in (index for index, voice in enumerate(VOICES) if voice.name in names):
        voice, seen = VOICES[number], []
        for kind, texts in kinds().items():
            texts = texts[:limit]
            wrong, words, ratio, alike, endless = dict.fromkeys(STAGES, 0), 0, [], [], 0
            for sentence, spoken in zip(texts, speaker.say(texts, voice.name), strict=True):
                source = teacher.say(to_phonemes(sentence), SPEAKERS[voice.speaker].name)
                plain = source.wave(voice.ratio, voice.warp)
                ours = spoken.samples if len(spoken.samples) else np.zeros(HOP, np.float32)
                waves = (plain, codec.say(source, number), codec.again(plain), ours, line(ours))
                wanted = measure.words_of(sentence)
                words += len(wanted)
                if recogniser:
                    for stage, wave in zip(STAGES, waves, strict=True):
                        wrong[stage] += measure.errors(wanted, recogniser.words(wave))
                ratio.append(len(ours) / len(plain))
                alike.append(likeness(pitch.track(ours), source.f0 * voice.ratio))
                endless += not spoken.ended
                seen.append(Levels.of(ours))
            cells = [voice.name, kind, str(len(texts)), *(f"{wrong[stage] / words:.3f}" for stage in STAGES)]
            cells += [f"{np.mean(ratio):.2f}", f"{np.mean(alike):.2f}", f"{endless / len(texts):.1%}"]
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
            report(" | ".join(cells))
        levels.append(f"- {voice.name}: {Levels.worst(seen).line()}")
    return rows, levels


def endings(folder: Path, count: int, max_seconds: float = 30.0) -> int:
    """Count how many of `count` new clauses, the voices in turn, do not end by themselves."""
    speaker, texts = Speaker(folder, max_clause_s=max_seconds), clauses(count, seed=99)
    spoken = [speaker.say(texts[n :: len(VOICES)], voice.name, seed=1) for n, voice in enumerate(VOICES)]
    return sum(not utterance.ended for part in spoken for utterance in part)


def markdown(rows: list[dict[str, str]], levels: list[str]) -> str:
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(list(row.values()) for row in rows)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return "\n".join([table, "", "Levels of all these utterances, the worst of each voice:", "", *levels])


def main() -> None:
    from training.voice.shortcut import Teacher

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voice", action="append", help="one voice; may be given again. All by default")
    parser.add_argument("--limit", type=int, default=100, help="sentences of each kind")
    parser.add_argument("--sphinx", action="store_true", help="listen with pocketsphinx and not with Whisper base")
    parser.add_argument("--card", action="store_true", help="write the table into FOLDER/README.md")
    parser.add_argument("--endings", type=int, default=0, help="also speak so many new clauses and count those cut")
    o = parser.parse_args()
    torch.set_num_threads(1)
    recogniser = measure.Recogniser() if o.sphinx else Whisper(ears.fetch(o.work))
    names = o.voice or [voice.name for voice in VOICES]
    rows, levels = evaluate(o.work, o.folder, Teacher(o.work), recogniser, names, o.limit)
    found = markdown(rows, levels)
    if o.endings:
        found += f"\n\n{endings(o.folder, o.endings)} of {o.endings} other clauses had to be cut."
    if o.card:
        write_card(o.folder, found, ABOUT)
    print(f"\n{found}")
    name = "evaluation_sphinx.json" if o.sphinx else "evaluation.json"
    (o.work / name).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
