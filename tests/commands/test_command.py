"""Scope: the `voiced` command itself: its help, its version, the lists it prints, and what it imports for them."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from realtime import __version__
from realtime.commands.cli import _BENCHMARKS, main
from realtime.config import Config
from realtime.voices.files import OPENAI_NAMES, Consent, write_upload
from realtime.voices.listing import list_voices


def _printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert _printed(capsys, "--version") == f"voiced {__version__}"


def test_help_names_every_command_and_every_benchmark_with_what_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    shown = _printed(capsys, "--help")
    for command in ("serve", "say", "voices", "bench", "config"):
        assert f" {command} " in shown
    shown = _printed(capsys, "bench", "--help")
    for name, told in _BENCHMARKS.items():
        assert f"{name} {told}" in shown
        module = import_module(f"realtime.bench.{name}")
        assert (name, told) == (module.NAME, module.HELP)
    assert "--json" in _printed(capsys, "bench", "schedule", "--help")


@pytest.mark.parametrize("arguments", [["config", "--por", "1"], ["say", "Hi.", "--voic", "ada"], ["--vers"]])
def test_a_flag_is_not_taken_by_half_its_name(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert arguments[-2 if len(arguments) > 1 else -1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "voiced: a command is missing; see voiced --help\n"),
        (["say"], "voiced say: the following arguments are required: text; see voiced say --help\n"),
        (["say", "Hi.", "--lout"], "voiced say: unrecognized arguments: --lout; see voiced say --help\n"),
        (["serve", "--port"], "voiced serve: argument --port: expected one argument; see voiced serve --help\n"),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_help(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert capsys.readouterr().err == said


def test_the_help_of_say_shows_the_settings_that_matter_to_it_and_it_takes_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = _printed(capsys, "say", "--help")
    for flag in ("--port", "--api-keys", "--tls-cert", "--model", "--voices"):
        assert flag in shown
    for flag in ("--tls-key", "--drain-s", "--max-sessions", "--turn-server", "--look-ahead"):
        assert flag not in shown
        assert flag in _printed(capsys, "serve", "--help")
    assert "voiced serve --help lists the others" in shown
    assert main(["say", " ", "--drain-s", "2", "--look-ahead", "3"]) == 1
    assert "the text is empty" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["bench", "--help"], ["serve", "--help"], ["config"], ["voices"]])
def test_no_torch_is_loaded_to_print_a_few_lines(arguments: list[str]) -> None:
    told = "import sys, atexit; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); "
    code = f"{told}from realtime.commands.cli import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "False\n"
    assert done.stdout


def test_voices_are_listed_with_where_they_are_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("amy", "sam", "alloy"):
        (tmp_path / f"{name}.wav").touch()
        (tmp_path / f"{name}.txt").write_text("Words.")
    assert main(["voices", "--voices", str(tmp_path)]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["ada"] == "checkpoint pocket: bright, high pitch"
    assert shown["amy"] == str(tmp_path / "amy.wav")
    assert shown["alloy"] == str(tmp_path / "alloy.wav"), "a name of OpenAI's gives way to a voice"
    assert shown["sam"].startswith("checkpoint"), "a checkpoint's own voice is the one that speaks"
    assert shown["ash"].startswith("stands for ")
    assert set(shown) == {"sam", "ada", "otto", "amy", *OPENAI_NAMES}
    uploads = tmp_path / "uploads"
    write_upload(uploads, "eve", bytes(4800), 24_000, "Words of Eve.", Consent(1, "anonymous", "Eve agreed.", "0"))
    assert main(["voices", "--voices", str(tmp_path), "--uploads", str(uploads)]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (shown["eve"], shown["amy"]) == (f"uploaded, {uploads / 'eve.wav'}", str(tmp_path / "amy.wav"))
    assert main(["voices", "--voices", str(tmp_path / "nowhere")]) == 2
    assert "no folder" in capsys.readouterr().err


def test_a_checkpoint_that_lists_no_voices_speaks_as_it_likes(tmp_path: Path) -> None:
    for model in (str(tmp_path), "someone/some-checkpoint"):
        assert set(list_voices(Config(model=model)).values()) == {"as the model picks"}
