"""Scope: the example of the module's README, word for word, as a page of another origin."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from realtime.commands.serve import running
from realtime.config import Config
from tests.browser.conftest import Visit
from tests.browser.elsewhere import folder_server
from tests.serving.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

README = Path("clients/browser/README.md")
URL = 'url: "http://127.0.0.1:8080"'


def example(language: str) -> str:
    """The first one in it."""
    found = re.search(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_example_speaks_from_a_page_of_its_own(visit: Visit, unbroken: None, tmp_path: Path) -> None:
    mine = tmp_path / "my-page"
    mine.mkdir()
    copy = example("sh").partition(".venv")[0]
    copying = await asyncio.create_subprocess_shell(copy, env={**os.environ, "HOME": str(tmp_path)})
    assert await copying.wait() == 0
    with folder_server(mine) as origin:
        config = Config(port=0, device="cpu", threads=1, slots=2, allowed_origins=[origin])
        async with running(config) as (_, gateway, url):
            await asyncio.wait_for(gateway.engine.wait_ready(), 120)
            html = example("html")
            assert URL in html
            (mine / "index.html").write_text(html.replace(URL, f'url: "http://{Service(gateway, url).address}"'))
            visitor = await visit(f"{origin}/")
            await visitor.page.click("#talk")
            await expect(visitor.page.locator("#log")).to_have_text("Hello there.")
            assert visitor.failures == []
            await visitor.page.close()
