"""Scope: the image and the compose file: what they name exists, who runs in them, when an image is healthy."""

import asyncio
import os
import re
import shlex
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from realtime.commands.cli import main
from realtime.config import ConfigError, load_config
from realtime.http.server import check_listening

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's stages by name, each with its instructions, FROM among them, in order."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, re.sub(r"\\\n", " ", text).split("\n")):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            rest, _, name = rest.partition(" AS ")
            steps = found[name] = []
        steps.append((instruction, rest))
    return found


def line_of(target: str) -> list[tuple[str, str]]:
    """The instructions that make a target: those of the stages that it is made from, then its own."""
    made = stages()
    base = made[target][0][1]
    return [*(line_of(base) if base in made else []), *made[target]]


def environment(target: str) -> dict[str, str]:
    """What is set in a container of a target."""
    words = [word for instruction, rest in line_of(target) if instruction == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def let_through(path: str) -> bool:
    """Whether .dockerignore leaves a path of the repository to the build: the last line that matches decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().split():
        pattern = line.removeprefix("!")
        if fnmatch(path, pattern) or path.startswith(f"{pattern}/"):
            ignored = not line.startswith("!")
    return not ignored


def test_what_the_build_copies_is_there_and_not_ignored() -> None:
    for steps in stages().values():
        for instruction, rest in steps:
            if instruction == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists()
                    assert source == "." or let_through(source), source
    project, found = PROJECT["project"], PROJECT["tool"]["setuptools"]["packages"]["find"]
    packages = [pattern.removesuffix("*") for pattern in found["include"]]
    for needed in ["pyproject.toml", project["readme"], *project["license-files"], *packages]:
        assert (ROOT / needed).exists()
        assert let_through(needed), needed
    for kept_out in (".git", ".venv", ".interop", ".env", "tests", "training", "models"):
        assert not let_through(kept_out), kept_out


def test_there_is_a_target_for_the_cpu_and_one_for_cuda_and_the_cpus_is_the_default() -> None:
    assert list(stages())[-2:] == ["cuda", "cpu"]
    for target in ("cuda", "cpu"):
        (install,) = [rest for _, rest in stages()[f"build-{target}"] if "install_torch.sh" in rest]
        assert f"install_torch.sh /opt/voiced/bin/python {target} " in install
        assert ("COPY", f"--from=build-{target} /opt/voiced /opt/voiced") in stages()[target]


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_a_container_runs_the_server_as_nobody_in_particular_and_without_build_tools(target: str) -> None:
    steps = line_of(target)
    users = [rest for instruction, rest in steps if instruction == "USER"]
    assert users == ["10001:10001"]
    installed = [rest for instruction, rest in steps if instruction == "RUN" and "install --yes" in rest]
    assert [re.findall(r"recommends ([a-z0-9 -]+?) +&&", rest) for rest in installed] == [["ca-certificates python3"]]
    for stage in (f"build-{target}",):
        assert any("pip uninstall --yes pip" in rest for _, rest in stages()[stage])
    volumes = next(rest for instruction, rest in steps if instruction == "VOLUME")
    made = next(rest for instruction, rest in steps if instruction == "RUN" and "/models" in rest)
    assert set(yaml.safe_load(volumes)) <= set(made.split())


def test_its_entry_is_the_command_and_its_settings_are_settings(capsys: pytest.CaptureFixture[str]) -> None:
    steps = dict(line_of("cpu"))
    (entry,) = yaml.safe_load(steps["ENTRYPOINT"])
    assert (Path(entry).parent, Path(entry).name in PROJECT["project"]["scripts"]) == (Path("/opt/voiced/bin"), True)
    with pytest.raises(SystemExit) as ended:
        main([*yaml.safe_load(steps["CMD"]), "--help"])
    assert ended.value.code == 0
    for target in ("cpu", "cuda"):
        config = load_config({}, environment(target))
        assert (config.host, str(config.port)) == ("0.0.0.0", steps["EXPOSE"])
        with pytest.raises(ConfigError, match="VOICED_API_KEYS"):
            check_listening(config)
        check_listening(load_config({}, {**environment(target), "VOICED_API_KEYS": "key-of-a-test-0123456789"}))


def test_compose_builds_targets_that_exist_with_settings_and_volumes_that_do() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    assert {service["build"]["target"] for service in services.values()} == {"cpu", "cuda"}
    assert [name for name, service in services.items() if not service.get("profiles")] == ["voiced"]
    made = next(rest for instruction, rest in line_of("cpu") if instruction == "RUN" and "/models" in rest).split()
    for service in services.values():
        settings = {**environment("cpu"), **service["environment"], "VOICED_API_KEYS": "key-of-a-test-0123456789"}
        settings = {name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value) for name, value in settings.items()}
        config = load_config({}, settings)
        assert config.uploads in made
        assert service["environment"]["VOICED_API_KEYS"].startswith("${VOICED_API_KEYS:?"), "it does not start without"
        for volume in service["volumes"]:
            source, target = volume.split(":")[:2]
            assert source.startswith("./") or source in compose["volumes"]
            assert target in made
        assert [port.rsplit(":", 1)[1] for port in service["ports"]] == [str(config.port)]
        assert int(service["stop_grace_period"].rstrip("s")) > config.drain_s


async def test_it_is_healthy_once_the_server_says_that_it_is_ready() -> None:
    statuses = iter([b"503 Service Unavailable", b"200 OK"])
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 " + next(statuses) + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def check(port: int) -> tuple[int | None, str]:
        settings = {**os.environ, "VOICED_PORT": str(port)}
        program = (sys.executable, "-I", ROOT / "realtime" / "deploy" / "healthy.py")
        process = await asyncio.create_subprocess_exec(*program, env=settings, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        return process.returncode, told.decode()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        loading, why = await check(port)
        assert (loading, "503" in why) == (1, True)
        assert await check(port) == (0, "")
    stopped, why = await check(port)
    assert (stopped, "refused" in why) == (1, True)
    assert asked == [b"GET /readyz HTTP/1.1\r\n"] * 2
