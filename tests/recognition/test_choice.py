"""Scope: which recogniser a setting asks for, and how a server shows it."""

from typing import Any

import pytest

from realtime.app import create_app
from realtime.config import Config, ConfigError
from realtime.parts import Parts, parts_of
from realtime.recognition.choice import recogniser_of
from realtime.recognition.endpoint import EndpointRecogniser
from realtime.recognition.process import WhisperProcess
from realtime.recognition.recogniser import Job, NoRecogniser, RecogniserUnavailable


class Mine(NoRecogniser):
    name = "mine"

    def __init__(self) -> None:
        super().__init__("")


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("auto", WhisperProcess),
        ("none", NoRecogniser),
        ("", NoRecogniser),
        ("owner/name", WhisperProcess),
        ("/a/folder", WhisperProcess),
        ("./folder", WhisperProcess),
        ("~/folder", WhisperProcess),
        ("tests", WhisperProcess),
        ("http://127.0.0.1:9000/v1", EndpointRecogniser),
        ("tests.recognition.test_choice:Mine", Mine),
    ],
)
def test_a_setting_names_one_of_ours_or_somebodys_own(setting: str, kind: type) -> None:
    assert type(parts_of(Config(recogniser=setting)).recogniser).__name__ == kind.__name__


def test_whisper_is_looked_for_unless_told_otherwise() -> None:
    assert isinstance(create_app(Config()).parts.recogniser, WhisperProcess)
    assert isinstance(Parts().recogniser, NoRecogniser)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("whisper", r"^recogniser is 'whisper': it is no folder here and no entry point of voiced\.recognisers; .*\.$"),
        ("http://", r"^recogniser: 'http://' names no host; give a URL like .*\.$"),
        ("nothing.of_this:name", r"^recogniser 'nothing\.of_this:name' cannot be made \(ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_made_is_said_on_start(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parts_of(Config(recogniser=setting))


async def test_where_nobody_understands_speech_a_sentence_says_so() -> None:
    nobody: Any = recogniser_of("none")
    await nobody.run()
    await nobody.ready()
    nobody.wake()
    assert (nobody.name, nobody.languages) == ("", ())
    with pytest.raises(RecogniserUnavailable, match=r"its setting recogniser is none\.$"):
        await nobody.transcribe(Job(b""))


def test_the_key_is_shown_nowhere() -> None:
    config = Config(recogniser="https://api.example/v1", recogniser_key="sk-secret")
    assert "sk-secret" not in repr(config)
