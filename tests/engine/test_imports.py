"""Scope: an engine's start does not wait for libraries that it does not need."""

import subprocess
import sys
from pathlib import Path

_LOAD = """
import sys
from realtime.engine.load import load_engine
from realtime.engine.messages import EngineConfig
load_engine(EngineConfig(sys.argv[1], slots=2, threads=1), lambda name: str, lambda stage: None)
print(sorted({"transformers", "sympy", "torch._dynamo"} & set(sys.modules)))
"""


def test_an_engine_starts_without_transformers_and_without_torchs_compiler(tiny_checkpoint: Path) -> None:
    """Each takes as long to import as torch itself, at every start of an engine."""
    command = [sys.executable, "-c", _LOAD, str(tiny_checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
