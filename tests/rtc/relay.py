"""Scope: a bad network in one process. A relay between a client and a peer, on loopback, that loses, delays and
reorders datagrams by a seed, or swallows them all.

    relay = await Relay.open(loss=0.05, delay_s=0.05, jitter_s=0.02, seed=1)
    offer = relay.offer(client_offer)      # what the peer is to see
    answer = relay.answer(peer_answer)     # what the client is to see
    relay.black_hole = True                # from now on nothing arrives, either way
    relay.close()

`loss`, `delay_s`, `jitter_s` and `black_hole` may be changed at any time; `passed` and `dropped` count datagrams."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

_CANDIDATE = re.compile(r"^a=candidate:(\S+) 1 udp (\d+) (\S+) (\d+) typ host.*$", re.MULTILINE | re.IGNORECASE)
_ANY_CANDIDATE = re.compile(r"^a=candidate:.*\r?\n", re.MULTILINE)


class Relay:
    """Made by `open`. `loss` is the share of datagrams lost, each way; a datagram that passes is late by `delay_s`
    and up to `jitter_s` more, so that later ones may overtake it."""

    def __init__(self, loss: float, delay_s: float, jitter_s: float, seed: int) -> None:
        self.loss, self.delay_s, self.jitter_s = loss, delay_s, jitter_s
        self.black_hole = False
        self.passed = self.dropped = 0
        self._random = random.Random(seed)
        self._client_side = _Side(self)
        self._peer_side = _Side(self)
        self._client_side.other, self._peer_side.other = self._peer_side, self._client_side

    @classmethod
    async def open(cls, loss: float = 0.0, delay_s: float = 0.0, jitter_s: float = 0.0, seed: int = 0) -> Relay:
        relay = cls(loss, delay_s, jitter_s, seed)
        loop = asyncio.get_running_loop()
        for side in (relay._client_side, relay._peer_side):
            await loop.create_datagram_endpoint(lambda side=side: side, local_addr=("127.0.0.1", 0))  # type: ignore[misc]
        return relay

    def offer(self, sdp: str) -> str:
        """The client's offer without its candidates: the peer finds it by its checks, which come from here."""
        return _ANY_CANDIDATE.sub("", sdp)

    def answer(self, sdp: str) -> str:
        """The peer's answer with this relay in place of its first candidate, and no other."""
        found = _CANDIDATE.search(sdp)
        assert found is not None, "the answer has no host candidate"
        self._peer_side.destination = (found[3], int(found[4]))
        host, port = self._client_side.address
        line = f"a=candidate:{found[1]} 1 udp {found[2]} {host} {port} typ host"
        bare = _ANY_CANDIDATE.sub("", sdp)
        return bare.replace("a=end-of-candidates", f"{line}\r\na=end-of-candidates", 1)

    def close(self) -> None:
        self._client_side.transport.close()
        self._peer_side.transport.close()

    def lateness(self) -> float | None:
        """Of the next datagram in seconds; None if it is lost."""
        if self.black_hole or self._random.random() < self.loss:
            self.dropped += 1
            return None
        self.passed += 1
        return self.delay_s + self._random.random() * self.jitter_s


class _Side(asyncio.DatagramProtocol):
    """One socket: what comes here leaves by the other one, to whom was last heard there."""

    def __init__(self, relay: Relay) -> None:
        self.other: _Side
        self.transport: asyncio.DatagramTransport
        self.destination: tuple[str, int] | None = None
        self._relay = relay

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.transport.get_extra_info("sockname")
        return str(host), int(port)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.destination = (addr[0], addr[1])
        late_s = self._relay.lateness()
        if late_s is None:
            return
        if late_s:
            asyncio.get_running_loop().call_later(late_s, self.other.send, data)
        else:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        if self.destination is not None and not self.transport.is_closing():
            self.transport.sendto(data, self.destination)
