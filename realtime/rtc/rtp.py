"""Reads RTP packets, and writes those of one stream (RFC 3550 section 5.1, RFC 8285 for the header extension). Pure."""

from __future__ import annotations

import secrets
import struct

from codec_stream.packets import AudioPacket

_HEADER = struct.Struct("!BBHLL")
_EXTENDED = 0x10
_ONE_BYTE_EXTENSIONS = 0xBEDE


def parse_rtp(data: bytes) -> AudioPacket | None:
    """Return the packet in `data`, also one with an empty payload; None if it is no RTP packet."""
    if len(data) < 12:
        return None
    flags, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if flags >> 6 != 2:
        return None
    start = 12 + 4 * (flags & 0x0F)
    if flags & _EXTENDED:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data)
    if flags & 0x20:
        padding = data[-1]
        if padding == 0:
            return None
        end -= padding
    if start > end:
        return None
    return AudioPacket(kind & 0x7F, sequence, timestamp, data[start:end], ssrc)


class OutgoingStream:
    """Writes the RTP stream that we send. Its sequence number and timestamp begin at random (RFC 3550).

    `mid_extension` (0: none) is the id of the header extension that carries `mid` in every packet.
    """

    def __init__(self, payload_type: int, mid: str = "", mid_extension: int = 0) -> None:
        self.ssrc = secrets.randbits(32) or 1
        self.timestamp = secrets.randbits(32)
        self.packets = 0
        self.octets = 0
        self._payload_type = payload_type
        self._sequence = secrets.randbits(16)
        self._flags = 0x80
        self._extension = b""
        if mid_extension:
            named = bytes(((mid_extension << 4) | (len(mid.encode()) - 1),)) + mid.encode()
            named += bytes(-len(named) % 4)
            self._flags |= _EXTENDED
            self._extension = struct.pack("!HH", _ONE_BYTE_EXTENSIONS, len(named) // 4) + named

    def packet(self, payload: bytes, ticks: int) -> bytes:
        """Return the next packet, `ticks` of the RTP clock long."""
        header = _HEADER.pack(self._flags, self._payload_type, self._sequence, self.timestamp, self.ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        self.skip(ticks)
        return b"".join((header, self._extension, payload))

    def skip(self, ticks: int) -> None:
        """Let `ticks` of the RTP clock pass without packets."""
        self.timestamp = (self.timestamp + ticks) & 0xFFFFFFFF
