"""How messages travel between gateway and engine: a length and a msgpack body. Nothing is pickled."""

from __future__ import annotations

import msgspec

from realtime.engine.messages import EngineConfig, Inbound, Outbound

LENGTH_BYTES = 4
_encoder = msgspec.msgpack.Encoder()


def packed(message: Inbound | Outbound | EngineConfig) -> bytes:
    """A message as it travels: its length (4 bytes, little endian) and its msgpack form."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body
