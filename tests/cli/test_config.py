"""Scope: settings from their sources, voices from their folder, and what is said about each mistake."""

import re
from pathlib import Path

import pytest

from realtime.cli import main
from realtime.config import Config, ConfigError, load_config
from realtime.voices import VoiceError, read_voices


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "voiced.toml"
    file.write_text("port = 1\nslots = 2\nhost = '::1'\n")
    environment = {"VOICED_PORT": "11", "VOICED_SLOTS": "12", "HOME": "/", "VOICED_CACHE": "/tmp/x"}
    settings = load_config({"port": "21"}, environment, str(file))
    assert (settings.port, settings.slots, settings.host) == (21, 12, "::1")
    assert settings.max_lead_s == Config().max_lead_s
    assert load_config({}, {"VOICED_CONFIG": str(file)}).port == 1


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("prot", "1", "'port'"),
        ("port", "many", "'port'"),
        ("port", "70000", "'port'"),
        ("decoder", "best", "'decoder'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_from_every_source(
    tmp_path: Path, source: str, name: str, value: str, hint: str
) -> None:
    file = tmp_path / "voiced.toml"
    file.write_text(f'{name} = "{value}"\n' if source == "file" else "")
    flags = {name: value} if source == "flag" else {}
    environment = {f"VOICED_{name.upper()}": value} if source == "environment" else {}
    with pytest.raises(ConfigError, match=hint) as refused:
        load_config(flags, environment, str(file))
    place = {"flag": "command line", "environment": "environment", "file": "voiced.toml"}[source]
    assert place in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("decoder", "fast", "exact or low-latency, not 'fast'"),
        ("front_end", "fancy", "empty, none, normalise or phonemes, not 'fancy'"),
        ("log_level", "loud", "debug, error, info or warning, not 'loud'"),
        ("allow_anonymous", "yes", "true or false, not 'yes'"),
        ("port", "many", "a whole number from 0 to 65535, not 'many'"),
        ("max_lead_s", "99", "a number from 0.2 to 30.0, not '99'"),
        ("device", "gpu", "like auto, cpu, cuda or cuda:0, not 'gpu'"),
        ("device", "cuda:one", "not 'cuda:one'"),
    ],
)
def test_a_wrong_value_is_told_with_what_it_may_be(name: str, value: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(wanted)):
        load_config({name: value}, {})


def test_a_wrong_list_is_told_as_one(tmp_path: Path) -> None:
    file = tmp_path / "voiced.toml"
    file.write_text("rtc_addresses = [1]\n")
    with pytest.raises(ConfigError, match=r"'rtc_addresses'.*a list, of which each is a text, not \[1\]"):
        load_config({}, {}, str(file))


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1"])
def test_every_device_there_may_be_is_taken(name: str) -> None:
    assert load_config({"device": name}, {}).device == name


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting() -> None:
    links = {
        "VOICED_SERVICE_HOST": "10.0.0.7",
        "VOICED_SERVICE_PORT": "8080",
        "VOICED_SERVICE_PORT_HTTP": "8080",
        "VOICED_PORT": "tcp://10.0.0.7:8080",
        "VOICED_PORT_8080_TCP": "tcp://10.0.0.7:8080",
        "VOICED_PORT_8080_TCP_PROTO": "tcp",
        "VOICED_PORT_8080_TCP_PORT": "8080",
        "VOICED_PORT_8080_TCP_ADDR": "10.0.0.7",
        "VOICED_TURN_SERVICE_HOST": "10.0.0.8",
        "VOICED_TURN_PORT": "udp://10.0.0.8:3478",
        "VOICED_TURN_PORT_3478_UDP_ADDR": "10.0.0.8",
    }
    assert load_config({}, links) == Config()
    assert load_config({}, {**links, "VOICED_PORT": "11"}).port == 11
    for name in ("VOICED_SERVICE", "VOICED_PORT_8080", "VOICED_PROT", "VOICED_TURN_PORT"):
        with pytest.raises(ConfigError, match="Unknown setting"):
            load_config({}, {name: "8080"})


def test_lists_and_numbers_are_read_from_text() -> None:
    settings = load_config({"allowed_origins": "https://a.example, https://b.example"}, {"VOICED_MAX_LEAD_S": "1.5"})
    assert settings.allowed_origins == ["https://a.example", "https://b.example"]
    assert settings.max_lead_s == 1.5


def test_a_file_that_is_not_there_or_no_toml_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no settings file"):
        load_config({}, {}, str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("port = ")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config({}, {}, str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"amy.wav": "x"}, "amy.txt is missing"),
        ({"amy.wav": "x", "amy.txt": " \n"}, "amy.txt is empty"),
        ({"Amy B.wav": "x", "Amy B.txt": "words"}, "rename"),
        ({"amy.wav": "x", "amy.flac": "x", "amy.txt": "words"}, "keep one"),
    ],
)
def test_a_wrong_voice_is_one_sentence_with_the_fix(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(VoiceError, match=message):
        read_voices(tmp_path)


def test_voices_are_read_with_their_words(tmp_path: Path) -> None:
    (tmp_path / "amy.wav").write_bytes(b"")
    (tmp_path / "amy.txt").write_text(" Words\n of Amy. ")
    assert [(voice.name, voice.transcript) for voice in read_voices(tmp_path)] == [("amy", "Words of Amy.")]
    with pytest.raises(VoiceError, match="no folder"):
        read_voices(tmp_path / "nowhere")


def test_the_command_shows_the_effective_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--port", "1234"]) == 0
    assert "port = 1234" in capsys.readouterr().out
    assert main(["config", "--port", "many"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("voiced: ")
    assert shown.count("\n") == 1
