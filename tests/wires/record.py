"""`python -m tests.wires.record [TREE]`: write down what the server of a tree (this one, if none is named) says on
every wire. `python -m tests.wires.record --compare [TREE]` only tells where it differs from what is written down.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.wires import suite
from tests.wires.served import ROOT
from tests.wires.shown import differences


def main(arguments: list[str]) -> int:
    """Record, or compare; 1 where something broke or differs."""
    compares, trees = "--compare" in arguments, [one for one in arguments if one != "--compare"]
    wrong = 0
    for name, record in asyncio.run(suite.run(Path(trees[0]).resolve() if trees else ROOT)).items():
        if isinstance(record, Exception):
            lines = [f"broke: {record!r}"]
        elif compares:
            lines = differences(suite.recorded(name), record)
        else:
            suite.write(name, record)
            continue
        wrong += bool(lines)
        for line in lines:
            print(f"{name}{line if line[0] in '.[' else ' ' + line}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
