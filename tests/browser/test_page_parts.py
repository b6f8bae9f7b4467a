"""Scope: modules of the page by themselves: what is read out, and how it finds out why it was refused."""

import mimetypes
from importlib.resources import files
from typing import Any

import pytest
from playwright.async_api import Page, Route

from tests.browser.conftest import KEY, Visit
from tests.serving.asking import ask
from tests.serving.wire import Service, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNOUNCED = """async () => {
  const { Transcript } = await import("/browser/transcript.js");
  const { Speech } = await import("/browser/speech.js");
  const said = [];
  const [list, empty] = ["ol", "p"].map((kind) => document.createElement(kind));
  const transcript = new Transcript(list, empty, (text) => said.push(text));
  const speech = new Speech("one");
  speech.audible = true;
  ["The", " ship", " comes", " in."].forEach((word, index) => speech.add(word, index, index + 1));
  for (const seconds of [1.9, 2.1]) { // guessed, then told
    speech.cut(seconds);
    transcript.speech(speech);
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return said;
}"""

WHY_REFUSED = """async ([url, key]) => {
  const { Server } = await import("/browser/voiced.js");
  const { code, message, retryAfterS } = await new Server(url, key).whyRefused(new AbortController().signal);
  return { code, message, waits: retryAfterS !== null };
}"""


async def test_what_was_heard_is_read_out_once_and_to_its_last_word(visit: Visit, service: Service) -> None:
    visitor = await visit(f"http://{service.address}/", microphone=False)
    assert await visitor.page.evaluate(ANNOUNCED) == ["Voice, interrupted: The ship comes"]


async def why_refused(page: Page, service: Service, key: str) -> Any:
    """What the page finds out after the server refused its WebSocket."""
    return await page.evaluate(WHY_REFUSED, [f"http://{service.address}", key])


async def test_why_a_websocket_was_refused_is_found_out(visit: Visit, guarded: Service) -> None:
    secret = (await ask(guarded.address, "POST", "/v1/realtime/client_secrets", {}, key=KEY)).json["value"]
    page = (await visit(f"http://{guarded.address}/", microphone=False)).page
    assert await why_refused(page, guarded, "ek_of_nobody") == {
        "code": "invalid_api_key",
        "message": "The client secret has expired or is not known here; mint another one with an API key.",
        "waits": False,
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    async with wire(guarded, additional_headers=headers), wire(guarded, additional_headers=headers):
        for key in (KEY, secret):
            found = await why_refused(page, guarded, key)
            assert (found["code"], found["waits"]) == ("too_many_sessions", True)
            assert found["message"].startswith("No session is free (2 in all); you are number ")


async def test_where_the_server_would_let_it_in_something_on_the_way_is_at_fault(
    visit: Visit, service: Service
) -> None:
    page = (await visit(f"http://{service.address}/", microphone=False)).page
    found = await why_refused(page, service, "")
    assert (found["code"], found["waits"]) == ("websocket_refused", True)


async def test_a_page_of_an_origin_that_is_not_allowed_is_told_so(
    visit: Visit, service: Service, elsewhere: str
) -> None:
    page = (await visit(elsewhere, microphone=False)).page
    await page.route(f"{elsewhere}/browser/*", copy_of_the_module)
    found = await why_refused(page, service, "")
    assert (found["code"], found["waits"]) == ("origin_not_allowed", False)
    assert elsewhere in found["message"]


async def copy_of_the_module(route: Route) -> None:
    """A page of another origin keeps its own."""
    name = route.request.url.rpartition("/")[2]
    body = (files("clients") / "browser" / name).read_bytes()
    await route.fulfill(body=body, content_type=mimetypes.guess_type(name)[0])
