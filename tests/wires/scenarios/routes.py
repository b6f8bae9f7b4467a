"""Scope: who gets in and what there is: keys, secrets, origins, unknown paths, wrong methods, bodies too large, the
states of the server."""

from __future__ import annotations

from typing import Any

from tests.wires.asking import ask, handshake
from tests.wires.served import FRIEND, Served, serving
from tests.wires.shown import Json
from tests.wires.talking import talk

_ELSEWHERE = "https://elsewhere.example"
_SECRETS = "/v1/realtime/client_secrets"


async def keys(served: Served) -> Json:
    """Every way to send a key, and every way not to."""
    right, wrong = served.key, "sk-wrong-0123456789abcdef"
    ways: dict[str, dict[str, str]] = {
        "none": {},
        "Bearer": {"Authorization": f"Bearer {right}"},
        "Token": {"Authorization": f"Token {right}"},
        "api-key": {"api-key": right},
        "X-API-Key": {"X-API-Key": right},
        "xi-api-key": {"xi-api-key": right},
        "wrong": {"Authorization": f"Bearer {wrong}"},
        "a secret that is none": {"Authorization": "Bearer ek_0123456789abcdef0123456789abcdef"},
    }
    found: Json = {}
    for name, headers in ways.items():
        reply = await ask(served.address, "GET", "/v1/models/x", headers=headers)
        found[name] = reply.shown() if reply.status == 401 else reply.status
    for name in ("none", "wrong"):
        found[f"socket: {name}"] = (await handshake(served.address, "/v1/realtime", ways[name])).shown()
    protocol = {"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{wrong}"}
    found["socket: a wrong protocol"] = (await handshake(served.address, "/v1/realtime", protocol)).status
    keyless = served.opened_by("")
    protocols = ("realtime", f"openai-insecure-api-key.{right}")
    async with talk(keyless, protocols=protocols) as one:
        found["socket: the right protocol"] = one.connection.subprotocol
    return found


async def secrets(served: Served) -> Json:
    """What a secret is minted with, what it opens, and what not."""
    session = {"type": "realtime", "instructions": "A quiet room.", "audio": {"output": {"voice": "ada"}}}
    minted = await ask(served.address, "POST", _SECRETS, {"session": session}, key=served.key)
    found: Json = {"minted": minted.shown()}
    bodies: dict[str, bytes | Json] = {
        "empty": b"",
        "lifetime": {"expires_after": {"anchor": "created_at", "seconds": 10}},
        "too short": {"expires_after": {"seconds": 9}},
        "another anchor": {"expires_after": {"anchor": "used_at"}},
        "no such voice": {"session": {"audio": {"output": {"voice": "adda"}}}},
        "no such field": {"session": {"speed": 1}},
        "no JSON": b"{",
    }
    for name, body in bodies.items():
        found[name] = (await ask(served.address, "POST", _SECRETS, body, key=served.key)).shown()
    with_secret = served.opened_by(minted.json["value"])
    async with talk(with_secret) as one:
        found["told"] = one.shown()
    for path in ("/v1/models", "/metrics"):
        found[path] = (await ask(served.address, "GET", path, key=with_secret.key)).shown()
    translations = await handshake(served.address, "/v1/realtime/translations", key=with_secret.key)
    found["of the other kind"] = translations.shown()
    return found


async def origins(served: Served) -> Json:
    """Pages from here, from a friend, from elsewhere, and what their browsers ask before."""
    found: Json = {}
    for name, origin in (("friend", FRIEND), ("own", f"http://{served.address}"), ("elsewhere", _ELSEWHERE)):
        reply = await ask(served.address, "GET", "/v1/models/x", headers={"Origin": origin}, key=served.key)
        found[name] = reply.shown()
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "a, b"}
        found[f"{name}: before"] = (await ask(served.address, "OPTIONS", "/v1/audio/speech", headers=asked)).shown()
        socket = await handshake(served.address, "/v1/realtime?call_id=rtc_x", {"Origin": origin}, key=served.key)
        found[f"{name}: socket"] = socket.shown()
    nowhere = {"Origin": FRIEND, "Access-Control-Request-Method": "GET"}
    found["before nothing"] = (await ask(served.address, "OPTIONS", "/nothing", headers=nowhere)).shown()
    return found


async def hosts(served: Served) -> Json:
    """Without keys, only names of this machine are answered to."""
    async with serving(served.tree, key="") as keyless:
        names = {"rebound": "evil.example", "address": keyless.address, "name": "localhost:1"}
        return {
            name: (
                await ask(keyless.address, "POST", "/v1/realtime/calls/rtc_x/hangup", headers={"Host": host})
            ).shown()
            for name, host in names.items()
        }


async def paths(served: Served) -> Json:
    """What there is not, and what is asked for in the wrong way."""
    wrong = [
        ("GET", "/nothing"),
        ("GET", "/v1"),
        ("POST", "/nothing"),
        ("GET", "/browser/nothing.js"),
        ("GET", "/v1/realtime"),
        ("GET", "/tts/websocket"),
        ("GET", "/v1/audio/speech"),
        ("PUT", "/v1/audio/voices"),
        ("DELETE", "/v1/audio/voices"),
        ("GET", "/v1/realtime/calls"),
        ("GET", _SECRETS),
        ("POST", "/metrics"),
        ("OPTIONS", "/v1/models"),
        ("BREW", "/v1/models"),
        ("GET", "/v1/audio/voices/nobody"),
    ]
    found: Json = {}
    for method, path in wrong:
        found[f"{method} {path}"] = (await ask(served.address, method, path, key=served.key)).shown()
    found["HEAD /v1/models"] = _head(await ask(served.address, "HEAD", "/v1/models", key=served.key))
    found["a socket at a page"] = (await handshake(served.address, "/v1/models", key=served.key)).shown()
    found["a socket at nothing"] = (await handshake(served.address, "/nothing", key=served.key)).shown()
    found["a body to a page"] = (await ask(served.address, "GET", "/v1/models", b"x", key=served.key)).shown()
    too_large = await ask(served.address, "POST", _SECRETS, b" " * (64 * 1024 + 1), key=served.key)
    found["a body too large"] = too_large.shown()
    return found


async def page(served: Served) -> Json:
    """The page's files: not what is in them."""
    found: Json = {}
    for path in ("/", "/browser/voiced.js", "/browser/style.css", "/browser/icon.svg"):
        reply = await ask(served.address, "GET", path)
        found[path] = _head(reply)
        known = await ask(served.address, "GET", path, headers={"If-None-Match": reply.headers["etag"]})
        found[f"{path} once more"] = _head(known)
    return found


async def states(served: Served) -> Json:
    """Alive, ready, and what is told of it to whom."""
    told = await ask(served.address, "GET", "/readyz", key=served.key)
    return {
        "healthz": (await ask(served.address, "GET", "/healthz")).shown(),
        "readyz": (await ask(served.address, "GET", "/readyz")).shown(),
        "readyz with a key": {**told.shown(), "body": _numberless(told.json)},
    }


def _head(reply: Any) -> Json:
    return {
        "status": reply.status,
        "headers": reply.shown("etag", "content-length")["headers"],
    }


def _numberless(value: Any) -> Any:
    """The shape of an object: its numbers are what they are."""
    if isinstance(value, dict):
        return {key: _numberless(one) for key, one in value.items()}
    return "(a number)" if isinstance(value, int | float) and not isinstance(value, bool) else value
