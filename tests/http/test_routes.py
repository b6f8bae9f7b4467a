"""Scope: a server with keys, over real sockets: each route against each kind of asker, secrets, models, status."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect

from realtime.access.rules import RULES, Table
from realtime.app import create_app
from realtime.commands.serve import running
from realtime.config import Config
from tests.serving.asking import Reply, ask, handshake
from tests.serving.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "sk-canary-0123456789"
FRIEND = {"Origin": "https://friend.example"}


@pytest.fixture(scope="session")
def guarded_config(tiny_checkpoint: Path) -> Config:
    return Config(
        port=0,
        model=str(tiny_checkpoint),
        device="cpu",
        threads=1,
        slots=2,
        api_keys=["sk-another-0123456789", KEY],
        allowed_origins=["https://friend.example"],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(guarded_config: Config) -> AsyncIterator[Service]:
    async with running(guarded_config) as (_, gateway, url):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        yield Service(gateway, url)


def _served() -> Iterator[tuple[str, str]]:
    """Method and path of every route of the application."""
    for route in create_app(Config()).asgi.routes:
        if isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", route.path
        else:
            assert isinstance(route, Route), "a mount would hide routes from the table"
            for method in sorted(route.methods or set()):
                yield method, route.path


async def _knock(service: Service, method: str, path: str, headers: dict[str, str]) -> Reply:
    """Ask a route for as little as possible: a handshake, or a request with an empty body."""
    path = path.replace("{id}", "nobody").replace("{id:path}", "nothing").replace("{name}", "style.css")
    if method == "WEBSOCKET":
        return await handshake(service.address, path, headers)
    return await ask(service.address, method, path, None, headers)


_OPENED = {
    "/v1/realtime": 101,
    "/v1/realtime/place": 200,
    "/v1/realtime/calls": 415,
    "/v1/realtime/calls/{id}/hangup": 404,
}
"""What a client secret opens, and what becomes of so little as is asked for there."""


@pytest.mark.parametrize(("method", "path"), list(_served()), ids=lambda value: value)
async def test_each_route_is_in_the_table_and_opens_to_whom_it_says(guarded: Service, method: str, path: str) -> None:
    rule = next((rule for rule in RULES if rule.path == path and Table().rule_for(method, path) == rule), None)
    assert rule is not None, f"{method} {path} has no row"
    minted = guarded.gateway.access.secrets
    fresh, _ = minted.mint("realtime", b"{}", 600, "", time.time())
    stale, _ = minted.mint("realtime", b"{}", 10, "", time.time() - 20)
    asked: dict[str, tuple[dict[str, str], int]] = {
        "no key": ({}, 401),
        "a wrong key": ({"Authorization": "Bearer sk-canary-9876543210"}, 401),
        "an expired secret": ({"Authorization": f"Bearer {stale}"}, 401),
        "a foreign secret": ({"X-API-Key": "ek_from_elsewhere"}, 401),
        "a fresh secret": ({"api-key": fresh}, _OPENED.get(path, 403)),
        "a foreign page": ({"Authorization": f"Bearer {KEY}", "Origin": "https://evil.example"}, 403),
    }
    for who, (headers, status) in asked.items():
        reply = await _knock(guarded, method, path, headers)
        if rule.open:
            assert reply.status == 200, who
        else:
            assert reply.status == status, who
            if status == 401 and method != "HEAD":
                assert reply.error["code"] == "invalid_api_key"
                assert reply.error["type"] == "invalid_request_error"
                assert reply.error["param"] is None
        assert reply.headers["x-request-id"].startswith("req_")
        assert KEY not in reply.body.decode()
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"xi-api-key": KEY, **FRIEND}):
        reply = await _knock(guarded, method, path, headers)
        assert reply.status not in (401, 403, 500), "the right key"


async def test_every_row_of_the_table_has_its_route() -> None:
    assert {(rule.method, rule.path) for rule in RULES} <= set(_served())


async def test_what_is_not_in_the_table_is_one_error_in_the_clients_shape(guarded: Service) -> None:
    for method, path, status, code in (
        ("GET", "/v1/chat/completions", 404, "unknown_url"),
        ("GET", "/v1/models/", 404, "unknown_url"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/realtime", 426, "websocket_expected"),
        ("TRACE", "/healthz", 405, "method_not_allowed"),
    ):
        reply = await ask(guarded.address, method, path, key=KEY)
        assert (reply.status, reply.error["code"]) == (status, code)
    assert (await handshake(guarded.address, "/v2/realtime")).status == 404


async def test_a_browser_gets_in_by_sub_protocol_and_hears_exactly_realtime(guarded: Service) -> None:
    offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-agents-sdk.0.20.1", "openai-beta.realtime-v1"]
    async with connect(guarded.url, subprotocols=offered, origin="https://friend.example") as connection:  # type: ignore[arg-type, list-item]
        assert connection.subprotocol == "realtime"
        assert json.loads(await connection.recv())["type"] == "session.created"
    for wrong in (["realtime"], ["realtime", "openai-insecure-api-key.sk-canary-9876543210"]):
        reply = await handshake(guarded.address, "/v1/realtime", {"Sec-WebSocket-Protocol": ", ".join(wrong)})
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")


async def test_a_secret_carries_its_session_to_the_socket_it_opens(guarded: Service) -> None:
    session = {"type": "realtime", "instructions": "A quiet room.", "audio": {"output": {"speed": 1.25}}}
    before = int(time.time())
    reply = await ask(
        guarded.address,
        "POST",
        "/v1/realtime/client_secrets",
        {"expires_after": {"anchor": "created_at", "seconds": 30}, "session": session},
        key=KEY,
    )
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json["value"].startswith("ek_")
    assert before + 30 <= reply.json["expires_at"] <= time.time() + 30
    shown = reply.json["session"]
    assert shown["id"].startswith("sess_")
    assert {**shown, "id": ""} == {**session, "id": "", "object": "realtime.session"}
    offered = ["realtime", f"openai-insecure-api-key.{reply.json['value']}"]
    for _ in range(2):
        async with connect(guarded.url, subprotocols=offered) as connection:  # type: ignore[arg-type]
            created = json.loads(await connection.recv())["session"]
            assert created["instructions"] == "A quiet room."
            assert created["audio"]["output"]["speed"] == 1.25


async def test_a_secret_of_one_kind_does_not_open_the_other(guarded: Service) -> None:
    path = "/v1/realtime/translations/client_secrets"
    session = {"model": "pocket", "audio": {"output": {"language": "de"}}}
    reply = await ask(guarded.address, "POST", path, {"session": session}, key=KEY)
    assert reply.status == 200
    assert reply.json["session"]["type"] == "translation"
    assert reply.json["session"]["audio"] == session["audio"]
    assert reply.json["expires_at"] >= time.time() + 590
    refused = await handshake(guarded.address, "/v1/realtime", {"Authorization": f"Bearer {reply.json['value']}"})
    assert (refused.status, refused.error["code"]) == (403, "secret_not_allowed")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{", None, "invalid_json"),
        (b"[]", None, "invalid_value"),
        (b'{"sesion":{}}', "sesion", "unknown_parameter"),
        (b'{"session":{"voice":"amy"}}', "session.voice", "unknown_parameter"),
        (b'{"session":{"instructions":5}}', "session.instructions", "invalid_value"),
        (b'{"session":{"type":"translation"}}', "session.type", "invalid_value"),
        (b'{"session":{"audio":{"output":{"voice":"nobody"}}}}', "session.audio.output.voice", "invalid_value"),
        (b'{"session":{"tools":[{"type":"function"}]}}', "session.tools[0].name", "missing_required_parameter"),
        (b'{"expires_after":{"seconds":9}}', "expires_after.seconds", "invalid_value"),
        (b'{"expires_after":{"seconds":7201}}', "expires_after.seconds", "invalid_value"),
        (b'{"expires_after":{"anchor":"now"}}', "expires_after.anchor", "invalid_value"),
        (b"\xff", None, "invalid_json"),
        (b'{"session":' + b"[" * 50_000, "session", "invalid_value"),
    ],
)
async def test_what_no_session_could_be_set_up_with_is_refused_by_name(
    guarded: Service, body: bytes, param: str | None, code: str
) -> None:
    reply = await ask(guarded.address, "POST", "/v1/realtime/client_secrets", body, key=KEY)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, code)


async def test_the_checkpoint_is_the_one_model_there_is(guarded: Service) -> None:
    listed = (await ask(guarded.address, "GET", "/v1/models", key=KEY)).json
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert guarded.gateway.engine.info is not None
    assert (model["id"], model["object"]) == (guarded.gateway.engine.info.checkpoint, "model")
    assert isinstance(model["created"], int)
    assert isinstance(model["owned_by"], str)
    assert (await ask(guarded.address, "GET", f"/v1/models/{model['id']}", key=KEY)).json == model
    missing = await ask(guarded.address, "GET", "/v1/models/org/other", key=KEY)
    assert (missing.status, missing.error["code"], missing.error["param"]) == (404, "model_not_found", "model")
    assert "org/other" in missing.error["message"]


async def test_readiness_tells_strangers_the_status_alone(guarded: Service) -> None:
    assert (await ask(guarded.address, "GET", "/readyz")).json == {"status": "ready"}
    assert (await ask(guarded.address, "GET", "/readyz", key="wrong")).json == {"status": "ready"}
    told = (await ask(guarded.address, "GET", "/readyz", key=KEY)).json
    assert told["engine"]["kind"] == "noise"
    assert told["sessions"] == 0
    head = await ask(guarded.address, "HEAD", "/readyz")
    assert (head.status, head.body) == (200, b"")


async def test_while_the_engine_loads_what_needs_it_says_when_to_come_back(guarded_config: Config) -> None:
    async with running(guarded_config) as (_, _, url):
        address = url.removeprefix("ws://").partition("/")[0]
        for method, path in (
            ("GET", "/v1/models"),
            ("GET", "/v1/audio/voices"),
            ("POST", "/v1/audio/voices"),
            ("POST", "/v1/realtime/client_secrets"),
        ):
            reply = await ask(address, method, path, key=KEY)
            assert (reply.status, reply.error["code"]) == (503, "engine_not_ready")
            assert int(reply.headers["retry-after"]) > 0
        assert (await ask(address, "GET", "/readyz")).json == {"status": "not ready"}
