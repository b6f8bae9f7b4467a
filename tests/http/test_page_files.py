"""Scope: the page's files as they are served: what, with which headers, how large, and that nothing else is."""

import re

import pytest
from starlette.requests import Request

from protocol.errors import Refused
from realtime.http.replies import status_of
from realtime.http.routes.page import FILES, asset, page

_MOST_BYTES = 165_000
_SCRIPTS = sorted(name for name in FILES if name.endswith(".js"))


async def test_the_page_is_served_under_a_policy_that_allows_its_own_server_only() -> None:
    answer = await page(asked())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["permissions-policy"] == "microphone=(self)"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", sorted(FILES))
async def test_each_file_is_what_its_name_says(name: str) -> None:
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    answer = await asset(asked(name))
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == kinds[name.rpartition(".")[2]]
    assert answer.body == FILES[name].body
    assert "content-security-policy" in answer.headers


async def test_what_a_browser_has_already_is_not_sent_again() -> None:
    tag = (await asset(asked("voiced.js"))).headers["etag"]
    again = await asset(asked("voiced.js", known=f'"other", W/{tag}'))
    assert (again.status_code, again.body) == (304, b"")
    assert again.headers["etag"] == tag
    other = await asset(asked("voiced.js", known='"other"'))
    assert (other.status_code, other.body) == (200, FILES["voiced.js"].body)


@pytest.mark.parametrize("name", ["README.md", "../python/call.py", "/etc/passwd", "", "nothing.js"])
async def test_what_is_no_file_of_the_page_is_not_there(name: str) -> None:
    with pytest.raises(Refused) as refused:
        await asset(asked(name))
    assert status_of(refused.value.code) == 404


def test_the_page_is_small() -> None:
    assert sum(len(file.body) for file in FILES.values()) < _MOST_BYTES


def test_the_page_has_nothing_that_its_policy_forbids() -> None:
    html = FILES["index.html"].body.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", html) == []
    for name in _SCRIPTS:
        assert re.findall(r"\beval\(|new Function\(|innerHTML|https?://(?!voice\.example)", text(name)) == [], name


def test_every_file_that_the_page_names_is_served() -> None:
    named = set(re.findall(r'(?:href|src)="/browser/([^"]+)"', text("index.html")))
    for name in _SCRIPTS:
        named |= set(re.findall(r'"\./([\w.]+)"', text(name)))
    assert named <= set(FILES)
    assert {"page.js", "voiced.js", "worklets.js", "style.css", "icon.svg"} <= named


def test_the_module_never_touches_the_document() -> None:
    reached, waiting = set[str](), ["voiced.js"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += [other for other in re.findall(r'"\./([\w.]+\.js)"', text(name)) if other not in reached]
    assert {"webrtc.js", "websocket.js", "worklets.js"} <= reached
    for name in reached:
        assert not re.search(r"\bdocument\.\w|\bgetElementById\b", text(name)), name


def test_every_control_has_a_name_for_who_cannot_see_it() -> None:
    html = text("index.html")
    labelled = set(re.findall(r'<label[^>]*\bfor="([^"]+)"', html))
    unlabelled = [
        tag
        for tag in re.findall(
            r"<(?:input|select|textarea)[^>]*>", re.sub(r"(?s)<label(?![^>]*\bfor=).*?</label>", "", html)
        )
        if not (found := re.search(r'\bid="([^"]+)"', tag)) or found[1] not in labelled
    ]
    assert unlabelled == []


def asked(name: str = "", known: str = "") -> Request:
    """A request for a file, from a browser that knows the version `known` of it."""
    headers = [(b"if-none-match", known.encode())] if known else []
    return Request({"type": "http", "method": "GET", "headers": headers, "path_params": {"name": name}})


def text(name: str) -> str:
    return FILES[name].body.decode()
