"""Scope: the page about the house says what the tree says: a row for every room, each word explained once."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_room_has_its_row_and_every_row_its_room() -> None:
    rows = {match.rstrip("/") for match in re.findall(r"^\| `([a-z_/0-9]+/)` \|", _section("Rooms"), re.MULTILINE)}
    folders = {
        str(file.parent.relative_to(ROOT))
        for room in ("realtime", "protocol", "codec_stream")
        for file in (ROOT / room).rglob("*.py")
    }
    assert rows == folders | {"clients", "training"}


def test_every_place_that_the_way_of_a_turns_text_names_is_there() -> None:
    for cell in re.findall(r"^\| \d+ \|.*\| (.+) \|$", _section("The way of a turn's text"), re.MULTILINE):
        for named in re.findall(r"`([a-z_0-9.]+)`", cell):
            parts = named.split(".")
            roots = [ROOT] if parts[0] in ("protocol", "codec_stream") else [ROOT / "realtime"]
            paths = [root.joinpath(*parts[:end]) for root in roots for end in (len(parts), len(parts) - 1) if end]
            assert any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths), named


def test_each_word_of_the_glossary_is_explained_once() -> None:
    words = re.findall(r"\*([a-z ]+)\*", "\n".join(re.findall(r"^\| (\*.+?) \|", _section("One word per thing"), re.M)))
    assert len(words) > 15
    assert len(words) == len(set(words))
