"""Scope: which build of PyTorch `make` fetches, what it says of that, and what it does where PyTorch's own index is out
of reach. pip is a fake that writes down what it was asked for."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WANTED = next(
    one
    for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    if one.startswith("torch==")
)
PYTHON = """#!/bin/sh
case "$1" in -c) exit {installed} ;; esac
echo "$*" >> {asked}
case "$*" in *--index-url*) exit {unreachable} ;; esac
"""


class Machine:
    """A Linux machine with a few commands and no NVIDIA driver."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = folder / "asked"
        for command in ("sh", "sed", "dirname"):
            (folder / command).symlink_to(shutil.which(command) or command)
        self.command("uname", "#!/bin/sh\necho Linux\n")
        self.python()

    def python(self, *, installed: bool = False, unreachable: bool = False) -> None:
        """Say whether PyTorch is installed already, and its own index out of reach."""
        told = PYTHON.format(installed=int(not installed), unreachable=int(unreachable), asked=self.asked)
        self.command("python", told)

    def command(self, name: str, script: str = "#!/bin/sh\n") -> None:
        """Add a command."""
        (self.folder / name).write_text(script)
        (self.folder / name).chmod(0o755)

    def install(self, build: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        script = (
            "sh",
            str(ROOT / "realtime" / "deploy" / "install_torch.sh"),
            str(self.folder / "python"),
            build,
            *options,
        )
        settings = {"PATH": str(self.folder), "NVIDIA_DRIVER": str(self.folder / "driver")}
        return subprocess.run(script, env=settings, capture_output=True, text=True, timeout=30)

    @property
    def requests(self) -> list[str]:
        """What pip was asked for, each on a line."""
        return self.asked.read_text().splitlines() if self.asked.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_an_nvidia_driver_the_build_for_the_cpu_is_fetched_and_told(machine: Machine) -> None:
    done = machine.install("auto", "-c", "constraints.txt")
    assert "PyTorch for the CPU (there is no NVIDIA driver here): some hundred megabytes" in done.stdout
    (request,) = machine.requests
    assert "--index-url https://download.pytorch.org/whl/cpu" in request
    assert request.endswith(f"-c constraints.txt {WANTED}")


def test_with_an_nvidia_driver_it_is_the_build_for_cuda(machine: Machine) -> None:
    machine.command("nvidia-smi")
    done = machine.install("auto")
    assert "PyTorch for CUDA (there is an NVIDIA driver here): gigabytes" in done.stdout
    assert "TORCH=cpu" in done.stdout
    (request,) = machine.requests
    assert "--index-url" not in request
    (machine.folder / "nvidia-smi").unlink()
    (machine.folder / "driver").touch()
    assert "for CUDA" in machine.install("auto").stdout


@pytest.mark.parametrize(("build", "said"), [("cpu", "for the CPU (asked for)"), ("cuda", "for CUDA (asked for)")])
def test_what_is_asked_for_is_fetched(machine: Machine, build: str, said: str) -> None:
    machine.command("nvidia-smi")
    assert said in machine.install(build).stdout
    assert len(machine.requests) == 1


def test_where_pytorchs_own_index_is_out_of_reach_another_build_is_taken_with_a_word(machine: Machine) -> None:
    machine.python(unreachable=True)
    done = machine.install("cpu")
    assert done.returncode == 0
    assert "taking the package index's build" in done.stdout
    assert "gigabytes" in done.stdout
    first, second = machine.requests
    assert "--index-url" in first
    assert "--index-url" not in second


def test_what_is_installed_already_is_left_in_silence(machine: Machine) -> None:
    machine.python(installed=True)
    done = machine.install("auto")
    assert (done.returncode, done.stdout, machine.requests) == (0, "", [])


def test_another_build_is_refused_by_name(machine: Machine) -> None:
    done = machine.install("rocm")
    assert done.returncode == 2
    assert "TORCH has to be cpu, cuda or auto, not 'rocm'" in done.stderr
