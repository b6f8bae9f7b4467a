"""What must be true before hours are spent: pitch contours to look at, and words that the codes keep.

    python -m training.voice.gate WORK [--limit 200] [--pictures 20]

Two hundred sentences that nothing is trained on, spoken by each speaker in turn: by the teacher through the vocoder,
and through the codes and the vocoder. The codes' word error must be at most `MOST`. Leaves `gate.json` and
`contours/`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec_stream.rate import SAMPLE_RATE
from realtime.text import to_phonemes
from training import measure
from training.voice import ears, phase, pitch, vocoder
from training.voice.quantizer import Quantizer, distortion
from training.voice.speakers import SPEAKERS
from training.voice.teacher import Synthesiser
from training.voice.text import gate_sentences
from training.voice.utterance import Utterance

MOST = 0.025
MOST_CENTS = 25.0
PICTURE_HZ = 400.0


def coded(fitted: Quantizer, utterance: Utterance) -> np.ndarray:
    """Return the wave that the vocoder makes of an utterance's codes."""
    knots = phase.from_codes(phase.codes(utterance.knots()))
    pulses, hiss = vocoder.synthesise(fitted.rows(fitted.encode(utterance.rows)), knots)
    wave: NDArray[np.float32] = pulses + hiss
    return wave


def contour_picture(path: Path, utterance: Utterance) -> None:
    """Draw the teacher's pitch over what the tracker finds in the vocoder's wave, 400 Hz high, 5 ms a column."""
    found, given = pitch.track(utterance.wave()), utterance.f0
    count = min(len(found), len(given))
    grey = np.full((int(PICTURE_HZ / 2), count), 255, np.uint8)
    for values, shade in ((given[:count], 170), (found[:count], 0)):
        at = np.flatnonzero((values > 0) & (values < PICTURE_HZ))
        grey[len(grey) - 1 - (values[at] / 2).astype(int), at] = shade
    measure._write_png(path, np.repeat(grey, 2, 1))


def check(
    work: Path, teacher: Synthesiser, hearing: ears.Ears | None, limit: int = 200, pictures: int = 20
) -> dict[str, float]:
    """Measure word errors (with `hearing`), the envelope's distortion in decibels and the pitch's in cents."""
    fitted = Quantizer.load(work / "quantizer.npz")
    folder = work / "contours"
    folder.mkdir(parents=True, exist_ok=True)
    texts = gate_sentences()[:limit]
    spoken = [teacher.say(to_phonemes(text), SPEAKERS[index % len(SPEAKERS)].name) for index, text in enumerate(texts)]
    for index, utterance in enumerate(spoken[:pictures]):
        contour_picture(folder / f"{index:02d}.png", utterance)
    waves = [coded(fitted, utterance) for utterance in spoken]
    apart = np.concatenate(
        [pitch.cents(pitch.track(w), u.f0) for w, u in zip(waves, spoken, strict=True)] or [np.zeros(1)]
    )
    result = {
        "sentences": float(len(texts)),
        "seconds": sum(map(len, waves)) / SAMPLE_RATE,
        "decibels": distortion(fitted, np.concatenate([utterance.rows for utterance in spoken])),
        "cents_median": float(np.median(apart)),
        "cents_90": float(np.quantile(apart, 0.9)),
    }
    if hearing:
        plain = hearing.listen((text, u.wave()) for text, u in zip(texts, spoken, strict=True))
        through = hearing.listen(zip(texts, waves, strict=True))
        print(f"vocoder {plain.line()}\ncodes {through.line()}", flush=True)
        for wrong, sentence, heard in sorted(through.misheard, reverse=True)[:20]:
            print(f"  {wrong}: {sentence} -> {heard}", flush=True)
        result |= {"vocoder": plain.rate, "codes": through.rate}
    (work / "gate.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def hold(found: dict[str, float]) -> None:
    """Raise ValueError where the codes lose too many words."""
    if found.get("codes", 0.0) > MOST:
        raise ValueError(
            f"the codes lose words: {found['codes']:.3f} is more than {MOST}; fit the quantizer anew, remove gate.json"
        )


def hold_pitch(cents: float) -> None:
    """Raises ValueError where the trained decoder's pitch is further than that from the one it was given."""
    if cents > MOST_CENTS:
        raise ValueError(
            f"the decoder does not follow the pitch: {cents:.0f} cents is more than {MOST_CENTS:.0f}; train it longer"
        )


def main() -> None:
    import torch

    from training.voice.shortcut import Teacher

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=20)
    o = parser.parse_args()
    torch.set_num_threads(1)
    found = check(o.work, Teacher(o.work), ears.Ears(ears.fetch(o.work)), o.limit, o.pictures)
    print(json.dumps(found))
    hold(found)


if __name__ == "__main__":
    main()
