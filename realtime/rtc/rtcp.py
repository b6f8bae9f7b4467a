"""Reads and writes RTCP reports (RFC 3550 section 6). Pure; times are seconds of any monotonic clock."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE = 200, 201, 202, 203
_CNAME = 1
_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!LLLLLL")
_SENDER = struct.Struct("!LQLLL")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """Holds what a receiver says of one stream.

    `lost_fraction` (0 to 1) counts since the report before, `lost` in all. `jitter` is in ticks of the stream's clock.
    `last_report` is the middle of the last sender report's NTP time, 0 without one; `delay` is how long ago that came.
    Both are in 1/65536 s.
    """

    ssrc: int
    lost_fraction: float
    lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class Reports:
    """Holds what one compound packet says.

    `sender_reports` are pairs of an SSRC and the middle 32 bits of its NTP time. `goodbyes` are the SSRCs that left.
    """

    blocks: tuple[ReportBlock, ...]
    sender_reports: tuple[tuple[int, int], ...]
    goodbyes: tuple[int, ...]


def parse_rtcp(data: bytes) -> Reports:
    """Read what is understood of `data`; nothing, if it is no RTCP. It stops at the first packet that is not whole."""
    blocks: list[ReportBlock] = []
    senders: list[tuple[int, int]] = []
    goodbyes: list[int] = []
    position = 0
    while position + 4 <= len(data):
        flags, kind, words = _HEADER.unpack_from(data, position)
        end = position + 4 + 4 * words
        if flags >> 6 != 2 or end > len(data):
            break
        count, body = flags & 0x1F, data[position + 4 : end]
        if kind == SENDER_REPORT and len(body) >= 24 + 24 * count:
            ssrc, ntp, _, _, _ = _SENDER.unpack_from(body)
            senders.append((ssrc, (ntp >> 16) & 0xFFFFFFFF))
            blocks += (_block(body, 24 + 24 * index) for index in range(count))
        elif kind == RECEIVER_REPORT and len(body) >= 4 + 24 * count:
            blocks += (_block(body, 4 + 24 * index) for index in range(count))
        elif kind == GOODBYE and len(body) >= 4 * count:
            goodbyes += struct.unpack_from(f"!{count}L", body)
        position = end
    return Reports(tuple(blocks), tuple(senders), tuple(goodbyes))


def sender_report(
    ssrc: int, ntp: int, timestamp: int, packets: int, octets: int, blocks: Sequence[ReportBlock]
) -> bytes:
    """Write a sender report. `ntp` is the 64 bits of NTP time at which the stream's clock shows `timestamp`."""
    body = _SENDER.pack(ssrc, ntp, timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return _packet(SENDER_REPORT, len(blocks), body + b"".join(_written(block) for block in blocks))


def receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """Write a receiver report, for a peer that sends nothing itself."""
    return _packet(
        RECEIVER_REPORT, len(blocks), struct.pack("!L", ssrc) + b"".join(_written(block) for block in blocks)
    )


def source_description(ssrc: int, cname: str) -> bytes:
    """Write a source description with the canonical name of `ssrc`."""
    item = struct.pack("!LBB", ssrc, _CNAME, len(cname.encode())) + cname.encode()
    return _packet(SOURCE_DESCRIPTION, 1, item + bytes(4 - len(item) % 4))


def goodbye(ssrc: int) -> bytes:
    """Write the packet that ends the stream `ssrc`."""
    return _packet(GOODBYE, 1, struct.pack("!L", ssrc))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _block(body: bytes, offset: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, offset)
    lost = loss & 0xFFFFFF
    return ReportBlock(
        ssrc, (loss >> 24) / 256, lost - (1 << 24) if lost >> 23 else lost, highest, jitter, last_report, delay
    )


def _written(block: ReportBlock) -> bytes:
    fraction = min(255, max(0, int(block.lost_fraction * 256)))
    lost = min((1 << 23) - 1, max(-(1 << 23), block.lost)) & 0xFFFFFF
    highest = block.highest_sequence & 0xFFFFFFFF
    return _BLOCK.pack(
        block.ssrc, fraction << 24 | lost, highest, block.jitter & 0xFFFFFFFF, block.last_report, block.delay
    )
