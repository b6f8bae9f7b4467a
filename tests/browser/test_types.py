"""Scope: the types of the page's modules, which their comments declare, held by TypeScript's compiler."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.interop.environment import clients, type_checker

PAGE = Path("clients/browser")
WRONG = "\n/** @type {number} */\nexport const wrong = 'text';\n"


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [*type_checker(clients()), "--project", str(folder / "jsconfig.json"), "--pretty", "false"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_every_module_holds_to_its_types() -> None:
    result = checked(PAGE)
    assert (result.returncode, result.stdout) == (0, "")


def test_no_module_is_left_out(tmp_path: Path) -> None:
    copy = shutil.copytree(PAGE, tmp_path / "browser")
    modules = sorted(copy.glob("*.js"))
    for module in modules:
        module.write_text(module.read_text() + WRONG)
    found = re.findall(r"^(?:.*/)?(\w+\.js)\(\d+,\d+\): error TS2322", checked(copy).stdout, re.MULTILINE)
    assert sorted(found) == [module.name for module in modules]
