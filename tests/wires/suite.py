"""Scope: all scenarios in their order, run once against one server, and the records they give.

The order matters: what the engine remembers of one scenario is counted in the `usage` of the next, and the last ones
tell of the server as all others leave it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.wires.scenarios import (
    calls,
    cartesia,
    ends,
    interruptions,
    items,
    messages,
    responses,
    routes,
    settings,
    speech,
    streams,
    translations,
    turns,
    voices,
)
from tests.wires.served import ROOT, Served, ready, serving
from tests.wires.shown import Names

Scenario = Callable[[Served], Awaitable[Any]]

RECORDED = Path(__file__).parent / "recorded"
_ROOMS = [settings, items, responses, streams, messages, speech, cartesia, translations, voices, turns]
_ROOMS += [interruptions, calls, routes, ends]
_WIDTH = 118
_TRIES = 5


def scenarios() -> dict[str, Scenario]:
    """By name, `room.scenario`, in the order in which they run."""
    return {
        f"{room.__name__.rpartition('.')[2]}.{name}": function
        for room in _ROOMS
        for name, function in vars(room).items()
        if inspect.iscoroutinefunction(function) and function.__module__ == room.__name__ and name[0] != "_"
    }


async def run(tree: Path = ROOT) -> dict[str, Any]:
    """What every scenario records of the server of a tree; of one that broke, the exception."""
    found: dict[str, Any] = {}
    async with serving(tree) as served:
        await ready(served)
        for name, scenario in scenarios().items():
            try:
                found[name] = await _run(scenario, served)
            except Exception as broken:  # the others are to be seen too
                found[name] = broken
    return found


async def _run(scenario: Scenario, served: Served) -> Any:
    """One scenario; once more where the machine was too slow for it just then, which is an answer but not the one."""
    for _ in range(_TRIES):
        record = Names().shown(await scenario(served))
        if '"overloaded"' not in json.dumps(record):
            break
        await asyncio.sleep(2)
    return record


def recorded(name: str) -> Any:
    """What a scenario recorded when its wire was last meant to change."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def write(name: str, record: Any) -> None:
    """Keep a record, in lines that can be read and compared."""
    (RECORDED / f"{name}.json").write_text(_pretty(record) + "\n")


def _pretty(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON with what fits on one line on one line; `before` characters stand there already."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + before + len(flat) <= _WIDTH or not isinstance(value, dict | list):
        return flat
    inner = " " * (indent + 1)
    if isinstance(value, list):
        lines = [inner + _pretty(one, indent + 1) for one in value]
        return "[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"
    lines = [f"{inner}{json.dumps(key)}: {_pretty(one, indent + 1, len(key) + 4)}" for key, one in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
