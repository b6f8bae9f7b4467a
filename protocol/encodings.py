"""Encodes and decodes the events in two ways: as JSON text, and as msgpack with plain bytes for audio.

Decoding validates: what comes out is a typed event, or a `BadMessage` whose error says what is wrong, where, and what
would be right. Nothing else is raised, whatever the input.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from protocol.client_events import ClientEvent
from protocol.objects import ErrorBody
from protocol.server_events import ServerEvent

JSON_PROTOCOL = "realtime"
MSGPACK_PROTOCOL = "voiced.msgpack"
"""The names of the WebSocket sub-protocols for JSON and for msgpack."""


class BadMessage(Exception):
    """Says that a message is no valid client event; `body` is the error to send back."""

    def __init__(self, body: ErrorBody) -> None:
        super().__init__(body.message)
        self.body = body


_SHOWN = 200
"""Bounds how many characters of a client's own names an error repeats."""

_HINTS = (
    (
        r"put\.format",
        "Formats are {'type': 'audio/pcm', 'rate': 24000}, {'type': 'audio/pcmu'} and {'type': 'audio/pcma'}.",
    ),
    (r"turn_detection", "Turn detection is {'type': 'server_vad', …}, {'type': 'semantic_vad', …} or null."),
    (r"max_output_tokens", "Give a whole number of tokens (25 are a second of speech) or 'inf'."),
    (r"tool_choice", "Tool choice is 'auto', 'none', 'required' or {'type': 'function', 'name': …}."),
    (r"tools\[\d+\]", "Only tools of type 'function' are served."),
    (r"item\.type$|input\[\d+\]\.type$", "Items are message, function_call and function_call_output."),
    (r"content\[\d+\]\.type$", "Content types are input_text, input_audio, output_text and output_audio."),
    (r"\.role$", "Roles are system, user and assistant."),
    (r"(^|content\[\d+\]\.)audio$", "Send 24 kHz 16-bit mono PCM, as base64 in JSON and as bytes in msgpack."),
    (r"output_modalities", "Modalities are ['audio'] or ['text']."),
    (r"speakers", "Speakers map tags like 'SPEAKER0' to voice names."),
    (r"conversation$", "A response joins the conversation ('auto') or is out of band ('none')."),
)


@dataclass(frozen=True)
class Encoding:
    """Puts events on the wire in one way."""

    name: str
    binary: bool
    _encoder: msgspec.json.Encoder | msgspec.msgpack.Encoder
    _client: Any
    _server: Any
    _plain: Any

    def encode(self, event: ServerEvent | ClientEvent) -> bytes:
        """Encode an event as bytes (UTF-8 for JSON)."""
        return self._encoder.encode(event)

    def decode_client(self, data: bytes) -> ClientEvent:
        """Decode a client event. Raises BadMessage."""
        try:
            event: ClientEvent = self._client.decode(data)
        except msgspec.ValidationError as error:
            raise self._explained(data, error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            code = "invalid_msgpack" if self.binary else "invalid_json"
            raise BadMessage(_body(code, _syntax(self, error))) from None
        return event

    def decode_server(self, data: bytes) -> ServerEvent:
        """Decode a server event, for clients. Raises msgspec.DecodeError."""
        event: ServerEvent = self._server.decode(data)
        return event

    def _explained(self, data: bytes, error: msgspec.ValidationError) -> BadMessage:
        """Say what is wrong in the protocol's own words, and which event it was."""
        try:
            raw = self._plain.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
            # the decoder met a wrong field first: further on the data is no message at all
            return BadMessage(_body("invalid_msgpack" if self.binary else "invalid_json", _syntax(self, broken)))
        event_id = raw.get("event_id") if isinstance(raw, dict) else None
        event_id = event_id if isinstance(event_id, str) and len(event_id) <= 512 else None
        kind = raw.get("type") if isinstance(raw, dict) else None
        if isinstance(raw, dict) and kind not in CLIENT_EVENT_TYPES:
            named = kind[:100] if isinstance(kind, str) else ""
            close = difflib.get_close_matches(named, CLIENT_EVENT_TYPES, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known types: {', '.join(CLIENT_EVENT_TYPES)}."
            what = "The message has no `type`." if kind is None else f"There is no client event {named!r}."
            return BadMessage(_body("unknown_event", f"{what} {hint}", "type", event_id))
        if not isinstance(raw, dict):
            return BadMessage(_body("invalid_value", "A message must be one object with a `type`.", None, event_id))
        message, _, path = str(error).partition(" - at ")
        param = path.strip("`").removeprefix("$.").removeprefix("$")[:_SHOWN] or None
        unknown = re.search(r"unknown field `(.*)`", message)
        if unknown:
            name = unknown.group(1)[:_SHOWN]
            param = f"{param}.{name}" if param else name
            return BadMessage(
                _body("unknown_parameter", f"{kind}: there is no field {param!r}; remove it.", param, event_id)
            )
        missing = re.search(r"missing required field `(.*)`", message)
        if missing:
            name = missing.group(1)
            param = f"{param}.{name}" if param else name
            return BadMessage(
                _body("missing_required_parameter", f"{kind}: the field {param!r} is missing; add it.", param, event_id)
            )
        where = f"the field {param!r}" if param else "the message"
        hint = next((f" {hint}" for pattern, hint in _HINTS if param and re.search(pattern, param)), "")
        return BadMessage(_body("invalid_value", f"{kind}: {where} is not valid: {message}.{hint}", param, event_id))


def _encoding(name: str, module: Any, *, binary: bool) -> Encoding:
    return Encoding(
        name,
        binary,
        module.Encoder(),
        module.Decoder(ClientEvent),
        module.Decoder(ServerEvent),
        module.Decoder(),
    )


CLIENT_EVENT_TYPES = sorted(msgspec.inspect.type_info(event).tag for event in get_args(ClientEvent))  # type: ignore[attr-defined]
JSON = _encoding(JSON_PROTOCOL, msgspec.json, binary=False)
MSGPACK = _encoding(MSGPACK_PROTOCOL, msgspec.msgpack, binary=True)


def _body(code: str, message: str, param: str | None = None, event_id: str | None = None) -> ErrorBody:
    return ErrorBody("invalid_request_error", code, message, param, event_id)


def _syntax(encoding: Encoding, error: Exception) -> str:
    kind = "msgpack" if encoding.binary else "JSON"
    detail = str(error).removeprefix("JSON is malformed: ").removeprefix("MessagePack data is malformed: ")
    return f"The message is not valid {kind}: {detail[:200]}."
