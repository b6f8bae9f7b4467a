"""Scope: what our connections rely on in uvicorn beyond its documentation: it is written down, and it is there."""

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server, ServerState

from realtime.http import http_connection, websocket_connection
from realtime.http.http_connection import HttpConnection
from realtime.http.websocket_connection import WebSocketConnection

pytestmark = pytest.mark.asyncio


def _listed(module: ModuleType) -> set[str]:
    """Names in the list of what is relied on."""
    assert module.__doc__ is not None
    _, found, listed = module.__doc__.partition("Relied on, beyond what it documents (uvicorn ")
    assert found
    return set(re.findall(r"`(\w+)`", listed))


def _own_names(module: ModuleType, name: str) -> tuple[set[str], set[str]]:
    """What a class reads of itself, and what of that it defines."""
    tree = ast.parse(Path(inspect.getfile(module)).read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    used, defined = (
        set(),
        {node.name for node in found.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)},
    )
    for node in ast.walk(found):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            used.add(node.attr)
    return used, defined


def _theirs(kind: type[H11Protocol] | type[WebSocketsSansIOProtocol]) -> H11Protocol | WebSocketsSansIOProtocol:
    async def app(scope: object, receive: object, send: object) -> None: ...

    return kind(Config(app, ws_ping_interval=1.0, ws_ping_timeout=1.0), ServerState(), {}, asyncio.get_running_loop())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "ours", "theirs"),
    [
        (http_connection, HttpConnection, H11Protocol),
        (websocket_connection, WebSocketConnection, WebSocketsSansIOProtocol),
    ],
    ids=["HTTP", "WebSocket"],
)
async def test_all_that_is_used_of_a_connection_of_uvicorn_is_listed_and_there(
    module: ModuleType,
    ours: type[HttpConnection | WebSocketConnection],
    theirs: type[H11Protocol] | type[WebSocketsSansIOProtocol],
) -> None:
    connection, listed = _theirs(theirs), _listed(module)
    used, defined = _own_names(module, ours.__name__)
    documented = set(dir(asyncio.Protocol))
    inherited = {name for name in used if hasattr(connection, name)} - documented
    overridden = {name for name in defined if hasattr(connection, name) and not name.startswith("__")} - documented
    assert inherited | overridden <= listed
    for name in listed - {"scope"} - _OF_OTHERS:
        assert hasattr(connection, name), f"{theirs.__name__} has no {name} any more"


_OF_OTHERS = {"config", "app_state", "_loop", "server_state", "read_paused", "response_complete"}


async def test_what_is_used_beside_the_connections_is_there() -> None:
    made_with = list(inspect.signature(H11Protocol.__init__).parameters)
    assert made_with == ["self", "config", "server_state", "app_state", "_loop"]
    assert isinstance(Server(Config(None)).server_state, ServerState)  # type: ignore[arg-type]
    assert "read_paused" in FlowControl.__init__.__code__.co_names
    assert "response_complete" in RequestResponseCycle.__init__.__code__.co_names
    assert "scope" in WebSocketsSansIOProtocol.handle_connect.__code__.co_names
