"""Puts the package `voiced` together while the client's distribution is built.

It takes the modules of `clients/python` and of `protocol`, and rewrites their imports of each other to the names they
have there.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NAMES = {"clients.python": "voiced", "protocol": "voiced.protocol"}
_IMPORT = re.compile(r"^(\s*(?:from|import) )(clients\.python|protocol)\b", re.MULTILINE)


class Assembly(BuildHookInterface):  # type: ignore[misc]  # the linter's environment has no hatchling
    """Adds the assembled package to a wheel or a source distribution.

    A wheel that is built from a source distribution finds the package there.
    """

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the package's folder to the builder."""
        root = Path(self.root)
        if (root / "voiced").is_dir():  # a source distribution: pyproject.toml's `packages` finds it
            return
        self._folder = Path(tempfile.mkdtemp())
        package = self._folder / "voiced"
        assemble(root, root.parent.parent, package)
        for kind in ("force_include", "force_include_editable"):
            build_data.setdefault(kind, {})[str(package)] = "voiced"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was assembled."""
        if self._folder is not None:
            shutil.rmtree(self._folder)


def assemble(client: Path, repository: Path, package: Path) -> None:
    """Write the modules of `client` and of the repository's `protocol` into the folder `package`, with its licence."""
    for source, target in ((client, package), (repository / "protocol", package / "protocol")):
        target.mkdir(parents=True)
        for module in source.glob("*.py"):
            (target / module.name).write_text(renamed(module.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(repository / "LICENSE", package / "LICENSE")
    (package / "py.typed").touch()


def renamed(source: str) -> str:
    """Return a module's source with its imports as they are within the package `voiced`."""
    return _IMPORT.sub(lambda found: found[1] + _NAMES[found[2]], source)
