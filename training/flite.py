"""Speaks by Debian's flite through ctypes: a wave, and the phones that made it with their exact times.

Two things are done to the synthesiser's own prosody, both so that a small model can learn the result from little data:

- pitch is held at one value, so that every 40 ms frame of the codec holds a whole number of pitch periods and a plain
  waveform loss can be used;
- every segment's length is rounded to a multiple of `grid_s`, so that the same phones in the same context give the same
  frames.

`scale` moves the formants: the sentence is spoken `scale` times slower at a pitch `scale` times lower and then read
`scale` times faster. The result has the original timing and pitch, with all resonances moved up by `scale`.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_float, c_int, c_short, c_void_p
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PACKAGES = ("libflite1", "libasound2")
LEAD_IN_S = 0.08
LEAD_OUT_S = 0.16


@dataclass(frozen=True)
class Phone:
    """Holds one segment. `word` counts words from 0; a pause has word -1."""

    name: str
    stressed: bool
    word: int
    end_s: float


@dataclass(frozen=True)
class Speech:
    """Holds one spoken sentence: its wave, its phones and its words."""

    samples: np.ndarray  # [n] float32, full scale 1
    sample_rate: int
    phones: list[Phone]
    words: list[str]


class _Wave(Structure):
    _fields_ = [
        ("type", c_char_p),
        ("sample_rate", c_int),
        ("num_samples", c_int),
        ("num_channels", c_int),
        ("samples", POINTER(c_short)),
    ]


class _Utterance(Structure):
    _fields_ = [("features", c_void_p)]


class _Voice(Structure):
    _fields_ = [("name", c_char_p), ("features", c_void_p)]


_HOOK = CFUNCTYPE(c_void_p, c_void_p)


def library_folder() -> Path:
    """Find flite's shared objects: in $FLITE_LIB, in a folder unpacked by `install`, or in the system's.

    Raises FileNotFoundError where they are in none of these.
    """
    for folder in (os.environ.get("FLITE_LIB"), Path(__file__).parent / ".flite" / "lib", "/usr/lib/x86_64-linux-gnu"):
        if folder and (Path(folder) / "libflite.so.1").exists():
            return Path(folder)
    raise FileNotFoundError("flite is not installed: run `python -m training.flite`, or `apt-get install libflite1`")


def install() -> Path:
    """Fetch Debian's packages and unpack the libraries beside this file; needs no root."""
    home = Path(__file__).parent / ".flite"
    home.mkdir(exist_ok=True)
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=home, check=True)
    for package in home.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(home / "root")], check=True)
    (home / "lib").unlink(missing_ok=True)
    (home / "lib").symlink_to(next((home / "root" / "usr" / "lib").glob("*/libflite.so.1")).parent.relative_to(home))
    return library_folder()


class Flite:
    """Speaks with one loaded voice. It is not safe for threads; use one process each."""

    def __init__(self, voice: str = "kal16", folder: Path | None = None) -> None:
        folder = folder or library_folder()
        if (folder / "libasound.so.2").exists():
            ctypes.CDLL(str(folder / "libasound.so.2"), ctypes.RTLD_GLOBAL)
        self._lib = ctypes.CDLL(str(folder / "libflite.so.1"), ctypes.RTLD_GLOBAL)
        for name in ("usenglish", "cmulex"):
            lexicon = ctypes.CDLL(str(folder / f"libflite_{name}.so.1"), ctypes.RTLD_GLOBAL)
        self._declare()
        self._lib.flite_init()
        lexicon.cmulex_init.restype = c_void_p
        self._lexicon = lexicon.cmulex_init()
        voice_lib = ctypes.CDLL(str(folder / f"libflite_cmu_us_{voice}.so.1"), ctypes.RTLD_GLOBAL)
        register = getattr(voice_lib, f"register_cmu_us_{voice}")
        register.restype = c_void_p
        register.argtypes = [c_char_p]
        self._voice = register(None)
        self._features = ctypes.cast(self._voice, POINTER(_Voice)).contents.features
        self._hook = _HOOK(self._flat_prosody)  # kept alive here, since flite holds only its address
        hook_value = self._lib.uttfunc_val(self._hook)
        self._lib.feat_set(self._features, b"f0_model_func", hook_value)
        self._f0_hz, self._grid_s, self._scale, self._stretch = 100.0, 0.02, 1.0, 1.0

    def _declare(self) -> None:
        lib = self._lib
        for names, result, arguments in (
            ("uttfunc_val", c_void_p, [_HOOK]),
            ("feat_set", None, [c_void_p, c_char_p, c_void_p]),
            ("flite_synth_text", c_void_p, [c_char_p, c_void_p]),
            ("utt_relation utt_relation_create item_as", c_void_p, [c_void_p, c_char_p]),
            ("relation_head item_next item_parent", c_void_p, [c_void_p]),
            ("relation_append", c_void_p, [c_void_p, c_void_p]),
            ("item_feat_float", c_float, [c_void_p, c_char_p]),
            ("item_feat_string", c_char_p, [c_void_p, c_char_p]),
            ("item_set_float", None, [c_void_p, c_char_p, c_float]),
            ("utt_wave", POINTER(_Wave), [c_void_p]),
            ("delete_utterance", None, [c_void_p]),
            ("lex_lookup", c_void_p, [c_void_p, c_char_p, c_char_p, c_void_p]),
            ("val_car val_cdr", c_void_p, [c_void_p]),
            ("val_string", c_char_p, [c_void_p]),
            ("delete_val", None, [c_void_p]),
        ):
            for name in names.split():
                function = getattr(lib, name)
                function.restype, function.argtypes = result, arguments

    def _items(self, utterance: int, relation: bytes) -> list[int]:
        item = self._lib.relation_head(self._lib.utt_relation(utterance, relation))
        items = []
        while item:
            items.append(item)
            item = self._lib.item_next(item)
        return items

    def _flat_prosody(self, utterance: int) -> int:
        """Round the durations that flite has just set and set one flat pitch, in place of flite's pitch model."""
        lib = self._lib
        segments = self._items(utterance, b"Segment")
        before = steps = 0.0
        for index, segment in enumerate(segments):
            end = lib.item_feat_float(segment, b"end")
            duration = (end - before) * self._stretch
            if index == 0:
                duration = LEAD_IN_S
            elif index == len(segments) - 1:
                duration = LEAD_OUT_S
            before = end
            steps += max(1, round(duration / self._grid_s)) if self._grid_s else duration
            lib.item_set_float(segment, b"end", steps * (self._grid_s or 1.0) * self._scale)
        targets = lib.utt_relation_create(utterance, b"Target")
        for position in (0.0, steps * (self._grid_s or 1.0) * self._scale):
            target = lib.relation_append(targets, None)
            lib.item_set_float(target, b"pos", position)
            lib.item_set_float(target, b"f0", self._f0_hz / self._scale)
        return utterance

    def say(
        self, text: str, f0_hz: float = 100.0, grid_s: float = 0.02, scale: float = 1.0, stretch: float = 1.0
    ) -> Speech:
        """Speak one sentence. `grid_s` 0 keeps the synthesiser's own durations; `stretch` makes all of them longer."""
        self._f0_hz, self._grid_s, self._scale, self._stretch = f0_hz, grid_s, scale, stretch
        lib = self._lib
        utterance = lib.flite_synth_text(text.encode("ascii", "replace"), self._voice)
        try:
            wave = lib.utt_wave(utterance).contents
            samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32) / 32768.0
            phones: list[Phone] = []
            words: list[str] = []
            seen: dict[int, int] = {}
            for segment in self._items(utterance, b"Segment"):
                name = lib.item_feat_string(segment, b"name").decode()
                end = lib.item_feat_float(segment, b"end") / scale
                in_syllable = lib.item_as(segment, b"SylStructure") if name != "pau" else None
                if not in_syllable:
                    phones.append(Phone("pau", False, -1, end))
                    continue
                syllable = lib.item_parent(in_syllable)
                word = lib.item_as(lib.item_parent(syllable), b"Word")
                if word not in seen:
                    seen[word] = len(words)
                    words.append(lib.item_feat_string(word, b"name").decode())
                stressed = lib.item_feat_string(lib.item_as(syllable, b"Syllable"), b"stress") == b"1"
                phones.append(Phone(name, stressed, seen[word], end))
            return Speech(samples, int(wave.sample_rate * scale + 0.5), phones, words)
        finally:
            lib.delete_utterance(utterance)

    def pronounce(self, word: str) -> list[str]:
        """Return the phones of a word by the lexicon or its letter-to-sound rules; a stressed vowel has a 1 behind
        it.
        """
        value = self._lib.lex_lookup(self._lexicon, word.lower().encode("ascii", "ignore"), None, None)
        phones, rest = [], value
        while rest:
            phones.append(self._lib.val_string(self._lib.val_car(rest)).decode())
            rest = self._lib.val_cdr(rest)
        self._lib.delete_val(value)
        return phones


if __name__ == "__main__":
    print(install())
