"""Scope: voices in folders: what cannot be read is one sentence, what is no voice is told, what cannot be kept leaves
nothing behind."""

import contextlib
import logging
import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime.voices.files import Consent, VoiceError, read_uploads, read_voices, write_upload

CONSENT = Consent(1_700_000_000, "anonymous", "Amy agreed.", "0" * 64)


@contextlib.contextmanager
def _as_anybody() -> Iterator[None]:
    """Without the rights of root, who may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@contextlib.contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Writing more into a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _voice(folder: Path, transcript: bytes = b"Words of Amy.") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "amy.wav").write_bytes(b"RIFF")
    (folder / "amy.txt").write_bytes(transcript)
    (folder / "amy.json").write_bytes(b'{"created_at":1,"uploaded_by":"a","statement":"yes","clip_sha256":"0"}')


@pytest.mark.parametrize("read", [read_voices, read_uploads])
def test_a_transcript_that_is_not_utf_8_is_one_sentence(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _voice(tmp_path, "Grüße".encode("latin-1"))
    with pytest.raises(VoiceError, match=r"amy\.txt is not UTF-8: save it in that encoding\.$"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_voices, read_uploads])
def test_a_file_or_a_folder_that_may_not_be_read_is_one_sentence_that_names_it(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "kept"
    _voice(folder)
    for above in (tmp_path, *tmp_path.parents):
        if above == Path(tempfile.gettempdir()):
            break
        above.chmod(0o755)
    (folder / "amy.txt").chmod(0)
    with _as_anybody(), pytest.raises(VoiceError, match=r"amy\.txt cannot be read \(Permission denied\)\.$"):
        read(folder)
    folder.chmod(0)
    with _as_anybody(), pytest.raises(VoiceError, match=r"the folder .*kept cannot be read \(Permission denied\)\.$"):
        read(folder)
    tmp_path.chmod(0)
    with _as_anybody(), pytest.raises(VoiceError, match=r"the folder .*kept cannot be read \(Permission denied\)\.$"):
        read(folder)
    tmp_path.chmod(0o755)
    folder.chmod(0o755)


def test_audio_that_no_voice_can_be_made_of_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _voice(tmp_path)
    for name in ("bob.mp3", "cid.OGG", "notes.md"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.WARNING):
        assert [voice.name for voice in read_voices(tmp_path)] == ["amy"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / name} is no voice: convert it to WAV or FLAC to speak with it" for name in ("bob.mp3", "cid.OGG")
    ]


def test_a_clip_is_found_whatever_the_case_of_its_ending(tmp_path: Path) -> None:
    _voice(tmp_path)
    (tmp_path / "amy.wav").rename(tmp_path / "amy.WAV")
    assert [voice.clip.name for voice in read_voices(tmp_path)] == ["amy.WAV"]


@pytest.mark.parametrize(("size", "file"), [(0, "amy.json"), (1000, "amy.part")])
def test_an_upload_that_cannot_be_kept_names_the_file_and_leaves_none(tmp_path: Path, size: int, file: str) -> None:
    with _files_of_at_most(size), pytest.raises(OSError, match="too large") as failed:
        write_upload(tmp_path, "amy", bytes(48_000), 24_000, "Words of Amy.", CONSENT)
    assert failed.value.filename == str(tmp_path / file)
    assert os.listdir(tmp_path) == []
    write_upload(tmp_path, "amy", bytes(48_000), 24_000, "Words of Amy.", CONSENT)
    assert read_uploads(tmp_path)[0][1] == CONSENT
