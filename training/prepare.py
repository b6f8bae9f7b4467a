"""Turn text into training data: waves for the codec, codes and symbols for the language model.

    python -m training.prepare WORK --clips 45000 --codec-clips 1200

writes into WORK: `codec.npz` (one wave per voice, the same frames in each), `quantizer.npz`, `speech.npz` (codes,
symbols and alignment of every clip, of the reference voice) and `vocabulary.json`. Stages that have their file are
skipped."""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from pathlib import Path

import numpy as np

from realtime.text import dictionary_words, normalise
from training import quantizer as rvq
from training.flite import Flite
from training.sentences import Writer, held_out
from training.speech import FRAME_S, HOP, VOICES, Clip, synthesise

SPEECH_RMS = 0.1  # -20 dBFS while speaking
PEAK = 0.9


def sentences(count: int, seed: int) -> list[str]:
    """Return distinct clauses. None of them is held out for the evaluation, not even in another spelling."""
    tests = {bare(normalise(text)) for texts in held_out().values() for text in texts}
    writer = Writer(seed, dictionary_words())
    seen: dict[str, None] = {}
    for text in writer:
        if bare(text) not in tests:
            seen[text] = None
        if len(seen) == count:
            return list(seen)
    raise AssertionError("the writer never ends")


def bare(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def gain_of(waves: list[np.ndarray]) -> float:
    """Return one gain for a voice, which brings its speech to SPEECH_RMS and no clip above PEAK."""
    frames = np.concatenate(waves).reshape(-1, HOP)
    power = (frames**2).mean(1)
    loud = power[power > 0.01 * np.quantile(power, 0.95)]
    return float(min(SPEECH_RMS / np.sqrt(loud.mean()), PEAK / np.abs(frames).max()))


def codec_waves(texts: list[str]) -> dict[str, np.ndarray]:
    """Speak every text by every voice, frame for frame the same, with levels normalised."""
    flite = Flite()
    spoken = {voice.name: [synthesise(flite, text, voice).samples for text in texts] for voice in VOICES}
    starts = np.cumsum([0] + [len(samples) // HOP for samples in spoken[VOICES[0].name]])
    result: dict[str, np.ndarray] = {"starts": starts}
    for name, waves in spoken.items():
        if [len(samples) // HOP for samples in waves] != list(np.diff(starts)):
            raise AssertionError(f"voice {name} is not frame-parallel to {VOICES[0].name}")
        gain = gain_of(waves)
        result[f"gain_{name}"] = np.array(gain, np.float32)
        result[name] = (np.concatenate(waves) * gain * 32767).astype(np.int16)
    return result


def build_codec_data(work: Path, clips: int, seed: int) -> None:
    target = work / "codec.npz"
    if target.exists():
        return
    np.savez(target, allow_pickle=False, **codec_waves(sentences(clips, seed + 1)))


def build_quantizer(work: Path, seed: int) -> None:
    target = work / "quantizer.npz"
    if target.exists():
        return
    data = np.load(work / "codec.npz")
    feature = rvq.features(data[VOICES[0].name].astype(np.float32) / 32767)
    chosen = np.random.default_rng(seed).permutation(len(feature))[:60_000]
    fitted = rvq.fit(feature[chosen], len(VOICES), seed=seed)
    np.savez(target, mean=fitted.mean, basis=fitted.basis, books=fitted.books)


def load_quantizer(work: Path) -> rvq.Quantizer:
    data = np.load(work / "quantizer.npz")
    return rvq.Quantizer(data["mean"], data["basis"], data["books"])


def encode(clip: Clip, fitted: rvq.Quantizer) -> np.ndarray:
    return fitted.encode(fitted.content(rvq.features(clip.samples)))


def build_speech(work: Path, clips: int, seed: int) -> None:
    target = work / "speech.npz"
    if target.exists():
        return
    fitted, flite, voice = load_quantizer(work), Flite(), VOICES[0]
    gain = float(np.load(work / "codec.npz")[f"gain_{voice.name}"])
    texts = sentences(clips, seed)
    random.Random(seed).shuffle(texts)
    codes, owners, symbols = [], [], []
    started = time.monotonic()
    for index, text in enumerate(texts):
        clip = synthesise(flite, text, voice, gain)
        assert clip.owner is not None  # the synthesiser knows which phone each frame belongs to
        codes.append(encode(clip, fitted))
        owners.append(clip.owner)
        symbols.append(clip.symbols)
        if index % 5000 == 4999:
            print(f"speech {index + 1}/{len(texts)} clips, {time.monotonic() - started:.0f} s", flush=True)
    vocabulary = sorted({symbol for clip_symbols in symbols for symbol in clip_symbols})
    ids = {symbol: index for index, symbol in enumerate(vocabulary)}
    np.savez(
        target,
        codes=np.concatenate(codes),
        owners=np.concatenate(owners),
        symbols=np.array([ids[symbol] for clip_symbols in symbols for symbol in clip_symbols], np.uint8),
        frame_starts=np.cumsum([0] + [len(part) for part in codes]),
        symbol_starts=np.cumsum([0] + [len(part) for part in symbols]),
    )
    (work / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (work / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    hours = sum(len(part) for part in codes) * FRAME_S / 3600
    print(f"{len(texts)} clips, {hours:.1f} h, {len(vocabulary)} symbols", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--clips", type=int, default=45_000)
    parser.add_argument("--codec-clips", type=int, default=1_200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    build_codec_data(options.work, options.codec_clips, options.seed)
    build_quantizer(options.work, options.seed)
    build_speech(options.work, options.clips, options.seed)


if __name__ == "__main__":
    main()
