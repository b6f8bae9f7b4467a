"""Scope: voices over HTTP: listed, uploaded, spoken with by sessions that were open before, kept, deleted."""

import asyncio
import io
import json
import logging
import os
import re
import resource
import shutil
import signal
import struct
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from codec_stream.audio_file import write_wav
from realtime.commands.serve import running
from realtime.config import Config
from realtime.voices.files import OPENAI_NAMES, VoiceError, read_uploads
from tests.serving.asking import BOUNDARY, Reply, ask, form
from tests.serving.wire import RATE, Service, Spoken, noise_clip, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "Good evening."
VOICES = "/v1/audio/voices"


def _wav(seed: int, seconds: float = 0.6, rate: int = RATE) -> bytes:
    target = io.BytesIO()
    write_wav(target, noise_clip(seed, seconds), rate)
    return target.getvalue()


@pytest.fixture(scope="module")
def uploading_config(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("registered")
    write_wav(folder / "amy.wav", noise_clip(0), RATE)
    (folder / "amy.txt").write_text("Amy says this.")
    return Config(
        port=0,
        model=str(tiny_checkpoint),
        device="cpu",
        threads=1,
        slots=2,
        voices=str(folder),
        uploads=str(folder.parent / "uploaded"),
        max_voices=3,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(uploading_config: Config) -> AsyncIterator[Service]:
    async with running(uploading_config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        yield Service(gateway, url)


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def tidy(service: Service) -> AsyncIterator[None]:
    """Each test begins and ends without uploaded voices."""
    yield
    for name in await _listed(service):
        if service.gateway.catalogue.deletable(name):
            await _delete(service, name)


async def _upload(service: Service, name: str, clip: bytes, **parts: str) -> Reply:
    given = {"name": name, "transcript": "Words of the clip.", "consent": "true", **parts}
    body, headers = form(*given.items(), ("audio_sample", clip))
    return await ask(service.address, "POST", VOICES, body, headers)


async def _listed(service: Service) -> dict[str, dict[str, Any]]:
    reply = await ask(service.address, "GET", VOICES)
    assert reply.json["object"] == "list"
    return {voice["name"]: voice for voice in reply.json["data"]}


async def _delete(service: Service, name: str) -> Reply:
    return await ask(service.address, "DELETE", f"{VOICES}/{name}")


async def _say(service: Service, voice: str) -> bytes:
    async with wire(service) as talk:
        session = {"type": "realtime", "audio": {"output": {"voice": voice}}}
        updated = await talk.ask("session.update", "session.updated", session=session)
        assert updated["session"]["audio"]["output"]["voice"] == voice
        spoken = await talk.say(TEXT)
        assert spoken.response["status"] in ("completed", "incomplete")
        return spoken.pcm


async def test_a_clip_becomes_a_voice_at_once_for_open_sessions_too_and_is_gone_when_deleted(service: Service) -> None:
    async with wire(service) as talk:
        unknown = {"type": "realtime", "audio": {"output": {"voice": "cara"}}}
        await talk.ask("session.update", "error", session=unknown)
        reply = await _upload(service, "cara", _wav(3), consent="Cara agreed on 3 May.")
        assert reply.status == 200
        made = reply.json
        assert (made["id"], made["name"], made["object"], made["type"]) == ("cara", "cara", "audio.voice", "clip")
        assert isinstance(made["created_at"], int)
        assert (await _listed(service))["cara"] == made
        assert (await ask(service.address, "GET", f"{VOICES}/cara")).json == made

        await talk.ask("session.update", "session.updated", session=unknown)
        spoken = await talk.say(TEXT)
        assert spoken.pcm
        assert spoken.pcm != await _say(service, "amy")
        assert spoken.pcm == await _say(service, "cara")
        assert (await _upload(service, "cara", _wav(4))).error["code"] == "voice_exists"

        gone = await _delete(service, "cara")
        assert gone.json == {"id": "cara", "object": "audio.voice.deleted", "deleted": True}
        assert "cara" not in await _listed(service)
        await talk.ask("session.update", "error", session=unknown)
        for method in ("GET", "DELETE"):
            missing = await ask(service.address, method, f"{VOICES}/cara")
            assert (missing.status, missing.error["code"]) == (404, "voice_not_found")


async def test_an_upload_is_kept_with_its_words_and_its_consent_and_there_after_a_restart(
    uploading_config: Config, service: Service
) -> None:
    assert uploading_config.uploads
    folder = Path(uploading_config.uploads)
    flac = io.BytesIO()
    soundfile.write(flac, np.frombuffer(_wav(5)[44:], "<i2"), RATE, format="FLAC")
    reply = await _upload(service, "dora", flac.getvalue(), transcript=" Words\n of Dora. ", consent="cons_123")
    assert reply.status == 200
    assert (folder / "dora.txt").read_text() == "Words of Dora.\n"
    record = json.loads((folder / "dora.json").read_text())
    assert (record["statement"], record["uploaded_by"]) == ("cons_123", "anonymous")
    assert record["created_at"] == reply.json["created_at"]
    before = await _say(service, "dora")
    async with running(uploading_config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        restarted = Service(gateway, url)
        assert (await _listed(restarted))["dora"] == reply.json
        assert await _say(restarted, "dora") == before
        assert (await _delete(restarted, "dora")).status == 200
    assert os.listdir(folder) == []


async def test_an_uploaded_voice_survives_the_engine_that_encoded_it(service: Service) -> None:
    assert (await _upload(service, "eve", _wav(6))).status == 200
    before, engine = await _say(service, "eve"), service.gateway.engine
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while engine.info is not None:
            await engine.wait_changed()
    await asyncio.wait_for(engine.wait_ready(), 60)
    assert await _say(service, "eve") == before


async def test_the_servers_own_voices_cannot_be_deleted_or_replaced(service: Service) -> None:
    for name in ("amy", "alloy"):
        reply = await _delete(service, name)
        assert (reply.status, reply.error["code"]) == (403, "voice_not_deletable")
        taken = await _upload(service, name, _wav(7))
        assert (taken.status, taken.error["code"], taken.error["param"]) == (409, "voice_exists", "name")


async def test_the_names_stock_clients_send_are_voices(service: Service) -> None:
    listed = await _listed(service)
    assert [name for name in listed if listed[name]["type"] == "alias"] == list(OPENAI_NAMES)
    assert listed["amy"]["type"] == "clip"
    assert listed["nova"]["alias_of"] is None, "this checkpoint lists no voices: the model picks one"
    async with wire(service) as talk:
        picked = (await talk.say(TEXT)).pcm
    assert await _say(service, "nova") == picked


async def test_uploads_are_bounded_in_number(service: Service) -> None:
    for number in range(3):
        assert (await _upload(service, f"voice-{number}", _wav(number))).status == 200
    full = await _upload(service, "one-more", _wav(9))
    assert (full.status, full.error["code"]) == (403, "voice_limit_reached")
    assert (await _delete(service, "voice-1")).status == 200
    assert (await _upload(service, "one-more", _wav(9))).status == 200


async def test_of_two_uploads_of_one_name_at_once_one_wins(service: Service) -> None:
    replies = await asyncio.gather(_upload(service, "twin", _wav(1)), _upload(service, "twin", _wav(2)))
    assert sorted(reply.status for reply in replies) == [200, 409]


@pytest.mark.parametrize(
    ("parts", "param", "code"),
    [
        ({"name": None}, "name", "missing_required_parameter"),
        ({"name": ""}, "name", "invalid_value"),
        ({"name": "Amy B"}, "name", "invalid_value"),
        ({"name": "../../etc/passwd"}, "name", "invalid_value"),
        ({"name": "/tmp/x"}, "name", "invalid_value"),
        ({"name": "x\0"}, "name", "invalid_value"),
        ({"name": "a" * 65}, "name", "invalid_value"),
        ({"transcript": None}, "transcript", "missing_required_parameter"),
        ({"transcript": " \n"}, "transcript", "invalid_value"),
        ({"transcript": "word " * 500}, "transcript", "invalid_value"),
        ({"transcript": "Words <|eot_id|> and more."}, "transcript", "invalid_value"),
        ({"consent": None}, "consent", "missing_required_parameter"),
        ({"consent": "false"}, "consent", "consent_required"),
        ({"consent": "No"}, "consent", "consent_required"),
        ({"consent": "  "}, "consent", "consent_required"),
        ({"audio_sample": None}, "audio_sample", "missing_required_parameter"),
        ({"audio_sample": "no file"}, "audio_sample", "invalid_value"),
        ({"audio_sample": b""}, "audio_sample", "invalid_value"),
        ({"audio_sample": b"ID3\x04 an mp3, by its first bytes"}, "audio_sample", "invalid_value"),
        ({"audio_sample": b"OggS" + bytes(64)}, "audio_sample", "invalid_value"),
        ({"audio_sample": _wav(1)[:30]}, "audio_sample", "invalid_value"),
        ({"audio_sample": _wav(1, 0.05)}, "audio_sample", "invalid_value"),
        ({"audio_sample": _wav(1, 31)}, "audio_sample", "invalid_value"),
        ({"audio_sample": _wav(1, rate=4000)}, "audio_sample", "invalid_value"),
        ({"audio_sample": _wav(1)[:44] + bytes(20000)}, "audio_sample", "invalid_value"),
        ({"url": "http://169.254.169.254/"}, "url", "unknown_parameter"),
    ],
)
async def test_what_cannot_become_a_voice_is_one_sentence_that_names_the_part(
    service: Service, parts: dict[str, str | bytes | None], param: str, code: str
) -> None:
    before = await _listed(service)
    given: dict[str, Any] = {
        "name": "frank",
        "transcript": "Words.",
        "consent": "true",
        "audio_sample": _wav(8),
        **parts,
    }
    body, headers = form(*((name, value) for name, value in given.items() if value is not None))
    reply = await ask(service.address, "POST", VOICES, body, headers)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, code)
    assert await _listed(service) == before


async def test_text_that_is_not_utf_8_is_refused_and_not_guessed_at(service: Service) -> None:
    for field in ("name", "transcript", "consent"):
        parts: dict[str, Any] = {"name": "frank", "transcript": "Words.", "consent": "true", field: "Gr?sse"}
        body, headers = form(*parts.items(), ("audio_sample", _wav(1)))
        reply = await ask(service.address, "POST", VOICES, body.replace(b"Gr?sse", b"Gr\xfcsse"), headers)
        assert (reply.status, reply.error["param"], reply.error["code"]) == (400, field, "invalid_value")
        assert "not UTF-8" in reply.error["message"]
    body, headers = form(("name", "frank"), ("transcript", "Grüße."), ("consent", "ja"), ("audio_sample", _wav(1)))
    kind = headers["Content-Type"]
    latin = await ask(service.address, "POST", VOICES, body, {"Content-Type": f"{kind}; charset=iso-8859-1"})
    assert (latin.status, latin.error["code"]) == (400, "invalid_request")
    said = await ask(service.address, "POST", VOICES, body, {"Content-Type": f'{kind}; charset="UTF-8"'})
    assert said.status == 200
    assert service.gateway.catalogue.voices(service.gateway.engine.info)["frank"].text == "Grüße."


async def test_a_voice_deleted_while_it_speaks_speaks_to_the_end(service: Service) -> None:
    assert (await _upload(service, "hal", _wav(3))).status == 200
    sentences = "The first sentence is as long as this one is. The second is as long as that, and some more."
    async with wire(service) as talk:
        session = {"type": "realtime", "audio": {"output": {"voice": "hal"}}}
        await talk.ask("session.update", "session.updated", session=session)
        await talk.start(sentences, voiced={"max_lead_s": 0.2})
        events = await talk.until("response.output_audio.delta")
        assert (await _delete(service, "hal")).status == 200
        events += await talk.until("response.done")
        spoken = Spoken(events)
        assert spoken.response["status"] in ("completed", "incomplete")
        assert spoken.response["output"][0]["content"][0]["transcript"] == sentences
        await talk.item("user", "More.")
        await talk.send("response.create")
        assert "deleted" in (await talk.next())["error"]["message"]


async def test_an_upload_that_does_not_fit_the_disk_names_its_file_and_is_logged_once(
    service: Service, uploading_config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    assert uploading_config.uploads
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        full = await _upload(service, "ida", _wav(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (full.status, full.error["code"]) == (500, "upload_not_kept")
    assert "keep ida.part (File too large)" in full.error["message"]
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == ["voiced.voices"]
    assert "ida" not in await _listed(service)
    assert os.listdir(uploading_config.uploads) == []


async def test_the_guides_commands_upload_a_voice_speak_with_it_and_delete_it(service: Service, tmp_path: Path) -> None:
    assert shutil.which("curl"), "curl is missing; `make test` installs it"
    (tmp_path / "amy.wav").write_bytes(_wav(3))
    (tmp_path / "amy.txt").write_text("Words of the clip; more of them.\n")
    guide = (Path(__file__).parents[2] / "clients" / "guides" / "curl.md").read_text()
    (block,) = [part for part in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL) if "consent" in part]
    commands = re.split(r"\n(?=curl)", block.replace("127.0.0.1:8080", service.address).replace("amy", "jay").strip())
    for kind in ("wav", "txt"):
        (tmp_path / f"amy.{kind}").rename(tmp_path / f"jay.{kind}")

    async def run(command: str) -> str:
        shell = await asyncio.create_subprocess_shell(command, cwd=tmp_path, stdout=PIPE, stderr=PIPE)
        out, _ = await asyncio.wait_for(shell.communicate(), 60)
        assert shell.returncode == 0, command
        return out.decode()

    assert len(commands) == 3
    assert json.loads(await run(commands[0]))["id"] == "jay"
    assert (
        service.gateway.catalogue.voices(service.gateway.engine.info)["jay"].text == "Words of the clip; more of them."
    )
    await run(commands[1])
    assert (tmp_path / "speech.mp3").stat().st_size > 1000
    assert json.loads(await run(commands[2]))["deleted"] is True


async def test_a_transcript_that_the_checkpoint_reserves_is_refused_at_start(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "amy.wav").write_bytes(_wav(1))
    (tmp_path / "amy.txt").write_text("Words <|eot_id|> and more.")
    config = Config(port=0, model=str(tiny_checkpoint), device="cpu", threads=1, slots=2, voices=str(tmp_path))
    async with running(config) as (_, gateway, _):
        with pytest.raises(RuntimeError, match=r"its transcript holds '<\|eot_id\|>', which the checkpoint reserves"):
            await asyncio.wait_for(gateway.engine.wait_ready(), 60)


async def test_uploads_that_come_slowly_keep_only_so_many_places(service: Service) -> None:
    host, _, port = service.address.partition(":")
    body, headers = form(("name", "frank"), ("audio_sample", _wav(1)))
    head = f"POST {VOICES} HTTP/1.1\r\nHost: {service.address}\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Type: {headers['Content-Type']}\r\n\r\n"
    slow = [await asyncio.open_connection(host, int(port)) for _ in range(4)]
    for _, writer in slow:
        writer.write(head.encode() + body[:100])
        await writer.drain()
    async with asyncio.timeout(10):
        while (busy := await _upload(service, "greta", _wav(2))).status != 503:
            assert (await _delete(service, "greta")).status == 200  # the slow ones had not all begun
    assert busy.error["code"] == "uploads_busy"
    assert int(busy.headers["retry-after"]) > 0
    for _, writer in slow:
        writer.close()
    async with asyncio.timeout(10):
        while (await _upload(service, "greta", _wav(2))).status != 200:
            await asyncio.sleep(0.02)


async def test_a_clip_over_the_limit_is_refused_by_its_size(service: Service) -> None:
    huge = _wav(1)[:44] + bytes(11 * 1024 * 1024)
    reply = await _upload(service, "frank", huge)
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    nearly = await _upload(service, "frank", _wav(1)[:44] + bytes(10 * 1024 * 1024))
    assert (nearly.status, nearly.error["param"]) == (400, "audio_sample")


async def test_a_body_that_is_no_form_is_one_error(service: Service) -> None:
    good, headers = form(("name", "frank"))
    for body, content_type in (
        (b'{"name":"frank"}', "application/json"),
        (b"name=frank", "application/x-www-form-urlencoded"),
        (good, "multipart/form-data"),
        (good, "multipart/form-data; boundary=another"),
        (good[:-20], headers["Content-Type"]),
        (good, headers["Content-Type"] + "; charset=hex"),
        (form(*[("name", "frank")] * 9)[0], headers["Content-Type"]),
        (form(("audio_sample", b"a"), ("audio_sample", b"b"))[0], headers["Content-Type"]),
        (form(("name", "frank"), ("name", "frank"))[0], headers["Content-Type"]),
        (form(("name", b"frank"))[0], headers["Content-Type"]),
        (b"", headers["Content-Type"]),
    ):
        reply = await ask(service.address, "POST", VOICES, body, {"Content-Type": content_type})
        assert (reply.status, reply.error["type"]) == (400, "invalid_request_error"), body


async def test_no_form_however_broken_is_a_fault_of_ours(service: Service) -> None:
    parts = (("name", "frank"), ("transcript", "Words."), ("consent", "true"), ("audio_sample", b"RIFF"))
    good, headers = form(*parts)
    random = np.random.default_rng(4)
    bits = [b"\r\n", b"--", BOUNDARY.encode(), b'"', b";", b"\0", b"\xff\xfe", b"name=", b"Content-Type: x\r\n"]
    for _ in range(300):
        broken = bytearray(good)
        for _ in range(random.integers(1, 7)):
            at, gone = random.integers(0, len(broken) + 1), random.integers(0, 13)
            broken[at : at + gone] = bits[random.integers(len(bits))] * int(random.integers(0, 3))
        reply = await ask(service.address, "POST", VOICES, bytes(broken), headers)
        assert (reply.status, reply.error["type"]) == (400, "invalid_request_error"), bytes(broken)


async def test_a_voice_without_its_record_of_consent_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "amy.wav").write_bytes(struct.pack("<4s", b"RIFF"))
    (tmp_path / "amy.txt").write_text("Words.")
    with pytest.raises(VoiceError, match=r"amy\.json is no record of consent"):
        read_uploads(tmp_path)
    assert read_uploads(tmp_path / "not there yet") == []
