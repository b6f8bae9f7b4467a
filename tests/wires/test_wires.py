"""Scope: what clients are told, on every wire, is what was recorded."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from tests.wires import suite
from tests.wires.shown import differences


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told() -> dict[str, Any]:
    """What every scenario records now."""
    return await suite.run()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", suite.scenarios())
async def test_a_wire_is_as_it_was_recorded(told: dict[str, Any], name: str) -> None:
    if isinstance(told[name], Exception):
        raise told[name]
    assert differences(suite.recorded(name), told[name]) == []


def test_every_record_has_its_scenario() -> None:
    assert sorted(path.stem for path in suite.RECORDED.iterdir()) == sorted(suite.scenarios())
