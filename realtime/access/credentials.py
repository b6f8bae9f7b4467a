"""Finds the keys and secrets that a client sends, wherever its protocol puts them.

Seen on the wire: `Authorization: Bearer k` (OpenAI's SDKs), `Token k` (Deepgram's), `Basic base64(":k")`; the headers
`api-key` (Azure's), `X-API-Key` (Cartesia's) and `xi-api-key` (ElevenLabs'); in browsers, which cannot set headers on a
WebSocket, the sub-protocol `openai-insecure-api-key.k`; `?api_key=k` in Cartesia's plugins.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote_plus

_MAX_CHARS = 512
_HEADERS = ("api-key", "x-api-key", "xi-api-key")
_SUBPROTOCOL = "openai-insecure-api-key."
_QUERY = "api_key"
REDACTED = "***"


def credentials(headers: Mapping[str, str], subprotocols: Sequence[str] = (), query: str = "") -> list[str]:
    """List every credential that a request sent, without repeats.

    `headers` are keyed by lower-case name. `query` is given only for routes where a key may stand in it. A credential
    that is malformed or longer than any key is listed as an empty string: it was sent, and it opens nothing.
    """
    found = [key for key in [_authorization(headers.get("authorization"))] if key is not None]
    found += [headers[name].strip() for name in _HEADERS if name in headers]
    found += [offered.removeprefix(_SUBPROTOCOL) for offered in subprotocols if offered.startswith(_SUBPROTOCOL)][:1]
    if query:
        found += [value for name, value in parse_qsl(query) if name == _QUERY][:1]
    return list(dict.fromkeys(key if len(key) <= _MAX_CHARS else "" for key in found))


def redacted_query(query: bytes) -> bytes:
    """Return the query string with the key in it replaced, fit to be logged."""
    parts = query.split(b"&")
    return b"&".join(
        _QUERY.encode() + b"=" + REDACTED.encode() if unquote_plus(_name(part)) == _QUERY else part for part in parts
    )


def _name(part: bytes) -> str:
    return part.partition(b"=")[0].decode("latin-1")


def _authorization(value: str | None) -> str | None:
    if value is None:
        return None
    scheme, _, given = value.strip().partition(" ")
    given = given.strip()
    if scheme.lower() in ("bearer", "token"):
        return given
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""
