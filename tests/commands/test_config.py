"""Scope: settings from their sources, voices from their folder, and what is said about each mistake."""

import os
import re
from pathlib import Path

import pytest

from realtime.commands.cli import main
from realtime.config import Config, ConfigError, load_config, make_uploads
from realtime.voices.files import VoiceError, read_voices


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
        ("allowed_origins", "shop.example", "each is like https://shop.example"),
        ("allowed_origins", "https://a.example,*", "each is like https://shop.example"),
        ("allowed_origins", "https://a.example/shop", "each is like https://shop.example"),
        ("stun_server", "foo", "like stun:stun.example.org:3478, not 'foo'"),
        ("turn_server", "foo", "like turn:turn.example.org:3478?transport=udp or turns:"),
        ("turn_server", "turns:h?transport=udp", "like turn:turn.example.org:3478?transport=udp or turns:"),
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_origins", "https://a.example,http://[::1]:3000/,capacitor://localhost"),
        ("stun_server", "stun:10.0.0.1"),
        ("stun_server", ""),
        ("turn_server", "turn:turn.a.example"),
        ("turn_server", "turn:10.0.0.1:3478?transport=tcp"),
        ("turn_server", "turns:turn.a.example:443?transport=tcp"),
    ],
)
def test_addresses_are_taken_in_every_form_they_have(name: str, value: str) -> None:
    loaded = getattr(load_config({name: value}, {}), name)
    assert (",".join(loaded) if isinstance(loaded, list) else loaded) == value


@pytest.mark.parametrize("uploads", ["/proc/uploads", "{here}/file", "{here}/file/below"])
def test_a_folder_that_cannot_keep_uploads_stops_the_server_at_once(
    tmp_path: Path, uploads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    folder = uploads.format(here=tmp_path)
    assert main(["serve", "--uploads", folder, "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"voiced: uploads: {folder} is no folder")
    assert said.count("\n") == 1


def test_the_folder_of_uploads_is_made_when_the_server_starts(tmp_path: Path) -> None:
    make_uploads(Config(uploads=str(tmp_path / "a" / "b")))
    assert list((tmp_path / "a" / "b").iterdir()) == []
    make_uploads(Config(uploads=str(tmp_path / "a" / "b")))


def test_help_says_how_a_list_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name in ("--api-keys", "--allowed-origins", "--rtc-addresses"):
        assert re.search(
            rf"{name} VALUE,VALUE [^(]* \(comma-separated; default: none\)", said.replace("comma- ", "comma-")
        )
    assert "(default: false)" in said


def test_what_config_shows_is_a_settings_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "voiced.toml"
    odd = 'C:\\voices "of" Zoë\n\x7f'
    origins = "https://a.example,https://b.example"
    given = ["--voices", odd, "--allowed-origins", origins, "--allow-anonymous", "true", "--max-lead-s", "1"]
    assert main(["config", *given]) == 0
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_config({}, {}, str(file)) == Config(
        voices=odd, allowed_origins=origins.split(","), allow_anonymous=True, max_lead_s=1.0
    )
    assert main(["config", "--config", str(file)]) == 0
    assert capsys.readouterr().out == file.read_text(encoding="utf-8")


def test_secrets_are_no_part_of_the_settings_file_that_config_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--turn-password", "canary", "--api-keys", "canary-canary-canary"]) == 0
    shown = capsys.readouterr().out
    assert "canary" not in shown
    assert "# api_keys" in shown
    assert "# turn_password" in shown
    file = tmp_path / "voiced.toml"
    file.write_text(shown, encoding="utf-8")
    assert load_config({}, {}, str(file)) == Config()


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


@pytest.mark.parametrize(
    ("given", "meant"),
    [([], "false"), (["--allow-anonymous"], "true"), (["--allow-anonymous", "false"], "false")],
)
def test_a_switch_alone_means_true(given: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", *given, "--port", "1"]) == 0
    assert f"allow_anonymous = {meant}\n" in capsys.readouterr().out


def test_a_setting_that_is_no_utf_8_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--model", os.fsdecode(b"/models/\xe9t\xe9")]) == 2
    assert capsys.readouterr().err.startswith(
        "voiced: Setting 'model' from the command line has bytes that are no UTF-8"
    )
