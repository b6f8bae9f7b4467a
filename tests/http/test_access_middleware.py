"""Scope: the middleware around all routes, spoken to in ASGI: what it lets through, answers itself, and cuts off."""

import asyncio
import json
import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from protocol.errors import Refused
from realtime.access.keys import ApiKeys, Secrets
from realtime.access.policy import Access
from realtime.http import access_middleware as guard
from realtime.http.access_middleware import AccessMiddleware, grant_of
from realtime.http.replies import ERROR_HANDLERS

KEY = "sk-canary-0123456789"
FRIEND = "https://friend.example"


async def _who(request: Request) -> Response:
    return PlainTextResponse(f"{grant_of(request).by} {request.url.query}")


async def _read(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _break(request: Request) -> Response:
    raise RuntimeError("a fault of ours")


async def _refuse(request: Request) -> Response:
    raise Refused("engine_not_ready", "Try again shortly.", retry_after_s=2)


async def _talk(websocket: WebSocket) -> None:
    await websocket.accept("realtime")
    await websocket.close(1000, grant_of(websocket).by)


def _app() -> Starlette:
    access = Access(ApiKeys([KEY]), Secrets(lambda: "random"), [FRIEND], loopback=False)
    return Starlette(
        routes=[
            Route("/v1/models", _who),
            Route("/v1/models/{id:path}", _refuse),
            Route("/healthz", _break),
            Route("/v1/realtime/client_secrets", _read, methods=["POST"]),
            WebSocketRoute("/v1/realtime", _talk),
            Route("/not/in/the/table", _who),
        ],
        middleware=[Middleware(AccessMiddleware, access=access)],
        exception_handlers=ERROR_HANDLERS,
    )


class Answer:
    """What came back."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        self.sent = sent
        start = sent[0]
        self.status = start.get("status", 101)
        self.headers = {name.decode().lower(): value.decode() for name, value in start.get("headers", [])}
        self.body = b"".join(message.get("body", b"") for message in sent[1:])

    @property
    def error(self) -> dict[str, Any]:
        assert list(json.loads(self.body)) == ["error"]
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"].endswith(".")
        return error


async def _ask(
    method: str,
    path: str,
    *chunks: bytes,
    query: str = "",
    key: str = KEY,
    silent: bool = False,
    hangs_up: bool = False,
    **headers: str,
) -> Answer:
    """One request whose body comes in pieces, or (`silent`) never ends, or is cut off."""
    sent: list[dict[str, Any]] = []
    pieces = list(chunks) or [b""]
    given = {"host": "voice.example", "authorization": f"Bearer {key}", **headers}

    async def receive() -> dict[str, Any]:
        if method == "WEBSOCKET":
            return {"type": "websocket.connect"}
        if pieces:
            body = pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(pieces) or silent or hangs_up}
        if hangs_up:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "websocket" if method == "WEBSOCKET" else "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
        "extensions": {"websocket.http.response": {}},
    }
    scope |= {"subprotocols": ["realtime"]} if method == "WEBSOCKET" else {"method": method}
    await _app()(scope, receive, send)
    assert sent or hangs_up, "an answer always comes"
    return Answer(sent or [{}])


async def test_what_passes_carries_who_it_is_and_a_request_id() -> None:
    answer, other = await _ask("GET", "/v1/models"), await _ask("GET", "/v1/models")
    assert (answer.status, answer.body) == (200, b"key ")
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-request-id"] != other.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "code"),
    [
        ("GET", "/v1/models", "wrong", 401, "invalid_api_key"),
        ("GET", "/v1/nothing", KEY, 404, "unknown_url"),
        ("GET", "/not/in/the/table", KEY, 404, "unknown_url"),
        ("DELETE", "/v1/models", KEY, 405, "method_not_allowed"),
        ("GET", "/v1/realtime", KEY, 426, "websocket_expected"),
        ("GET", "/metrics", KEY, 404, "unknown_url"),
        ("GET", "/v1/models/x", KEY, 503, "engine_not_ready"),
        ("WEBSOCKET", "/v1/realtime", "wrong", 401, "invalid_api_key"),
        ("WEBSOCKET", "/v1/nothing", KEY, 404, "unknown_url"),
        ("WEBSOCKET", "/v1/models", KEY, 405, "method_not_allowed"),
    ],
)
async def test_every_refusal_has_the_shape_that_clients_read(
    method: str, path: str, key: str, status: int, code: str
) -> None:
    answer = await _ask(method, path, key=key)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) == (status == 503)
    if method == "WEBSOCKET":
        assert answer.sent[0]["type"] == "websocket.http.response.start", "clients see a status, not a close code"


async def test_a_websocket_that_passes_is_accepted_with_one_sub_protocol() -> None:
    answer = await _ask("WEBSOCKET", "/v1/realtime")
    assert [message["type"] for message in answer.sent] == ["websocket.accept", "websocket.close"]
    assert answer.sent[0]["subprotocol"] == "realtime"
    assert answer.sent[1]["reason"] == "key"
    assert answer.headers["x-request-id"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read_and_while_it_comes() -> None:
    limit = 64 * 1024
    path = "/v1/realtime/client_secrets"
    assert (await _ask("POST", path, b"x" * limit)).body == str(limit).encode()
    declared = await _ask("POST", path, b"", content_length=str(limit + 1))
    assert (declared.status, declared.error["code"]) == (413, "request_too_large")
    assert str(limit) in declared.error["message"]
    streamed = await _ask("POST", path, *[b"x" * 1024] * 65, silent=True)
    assert (streamed.status, streamed.error["code"]) == (413, "request_too_large")
    bodiless = await _ask("GET", "/v1/models", content_length="1")
    assert bodiless.status == 413


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_DEADLINE_S", 0.05)
    answer = await asyncio.wait_for(_ask("POST", "/v1/realtime/client_secrets", b"x", silent=True), 10)
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")


async def test_a_client_that_hangs_up_while_it_sends_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    answer = await _ask("POST", "/v1/realtime/client_secrets", b"x", hangs_up=True)
    assert answer.sent == [{}]
    assert not caplog.records


async def test_a_fault_of_ours_is_one_answer_with_the_id_under_which_it_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await _ask("GET", "/healthz")
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert "a fault of ours" not in answer.body.decode()
    assert answer.headers["x-request-id"] in answer.error["message"]
    assert answer.headers["x-request-id"] in caplog.text
    assert "a fault of ours" in caplog.text


async def test_allowed_pages_may_read_the_answers_and_others_are_told_nothing() -> None:
    answer = await _ask("GET", "/v1/models", origin=FRIEND)
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert answer.headers["vary"] == "Origin"
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"location", "x-request-id"}
    refused = await _ask("GET", "/v1/models", origin=FRIEND, key="wrong")
    assert refused.headers["access-control-allow-origin"] == FRIEND, "the page can read why"
    for origin in ("https://evil.example", "http://voice.example"):
        other = await _ask("GET", "/v1/models", origin=origin)
        assert "access-control-allow-origin" not in other.headers
        assert other.status == (403 if "evil" in origin else 200)


async def test_a_browser_that_asks_first_is_answered_without_a_key() -> None:
    names = "authorization,content-type,x-stainless-lang"
    wants = {"access_control_request_method": "POST", "access_control_request_headers": names}
    answer = await _ask("OPTIONS", "/v1/realtime/client_secrets", origin=FRIEND, key="", **wants)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert answer.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert answer.headers["access-control-allow-headers"] == names, "whatever a client library sends with its key"
    assert answer.headers["x-request-id"]
    evil = await _ask("OPTIONS", "/v1/realtime/client_secrets", origin="https://evil.example", **wants)
    assert (evil.status, evil.error["code"]) == (403, "origin_not_allowed")
    assert (await _ask("OPTIONS", "/v1/nothing", origin=FRIEND, **wants)).status == 404
    assert (await _ask("OPTIONS", "/v1/models", key=KEY)).status == 405, "a plain OPTIONS is no such question"


async def test_no_key_reaches_the_routes_address_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert (await _ask("GET", "/v1/models", query=f"model=x&api_key={KEY}")).body == b"key model=x&api_key=***"
    await _ask("GET", "/healthz", query=f"api_key={KEY}")
    await _ask("WEBSOCKET", "/v1/realtime", key="sk-canary-9876543210")
    assert "sk-canary" not in caplog.text


@pytest.mark.parametrize("address", ["http://voice.example/v1/models", "HTTPS://VOICE.example:443/v1/models"])
async def test_a_target_with_scheme_and_host_is_the_path_behind_them(address: str) -> None:
    assert (await _ask("GET", address, query="model=x")).body == b"key model=x"
    assert (await _ask("WEBSOCKET", address.replace("models", "realtime"))).status == 101
    assert (await _ask("GET", "http://voice.example")).error["code"] == "unknown_url", "as / is, here"


async def test_the_host_in_the_target_counts_and_not_the_one_beside_it() -> None:
    """As RFC 9112 section 3.2.2 has it: who checks the name must check this one."""
    page = "http://voice.example"
    assert (await _ask("GET", "http://voice.example/v1/models", host="other", origin=page)).status == 200
    refused = await _ask("GET", "http://other.example/v1/models", origin=page)
    assert refused.error["code"] == "origin_not_allowed"


@pytest.mark.parametrize(
    "address", ["http://user@voice.example/v1/models", "ftp://voice.example/v1/models", "http:///v1"]
)
async def test_a_target_of_another_kind_is_nothing_here(address: str) -> None:
    assert (await _ask("GET", address)).error["code"] == "unknown_url"
