"""Finds the path to one peer: an ICE agent on aioice, with its sockets. Only this file knows aioice's insides.

Relied on, beyond what it documents (aioice 0.13):
- Connection calls `get_component_candidates`, `check_incoming`, `query_consent`, `_check_list_maybe_fail` and
  `_remote_candidates_expected` on itself. `_protocols` are the sockets it closes, `_early_checks` the checks that came
  before `connect`, `_check_list` the pairs, `_nominated[1]` the one in use, `_queue` what `recv` takes from.
- StunProtocol is a socket's protocol: `datagram_received` takes STUN, `request` makes a transaction; `receiver`,
  `transport` and `local_candidate` are its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

import aioice.ice
from aioice import stun
from aioice.candidate import Candidate, candidate_foundation, candidate_priority

from realtime.rtc.candidates import RemoteCandidate

log = logging.getLogger("voiced.rtc")

_SERVER_S = 4.0
_CONSENT_EVERY_S = 5.0
_CONSENT_LOST_S = 30.0  # RFC 7675 section 5.1

_MAX_WAITING_DATAGRAMS = 64
_MAX_HANDSHAKE_DATAGRAMS = 256  # a handshake has some 20: this allows for each being lost and sent again many times
_MAX_REMOTE_ADDRESSES = 64
_LOOPBACK = "127.0.0.1"
_MANY_ADDRESSES = 4  # a machine that runs containers has dozens of addresses: not all of them are offered


def signalled(candidate: RemoteCandidate) -> Candidate:
    """Return a candidate of an offer in aioice's form."""
    # An offer may repeat what a peer learned of itself; aioice takes only the types that are signalled.
    kind = "srflx" if candidate.type == "prflx" else candidate.type
    return Candidate(candidate.foundation, 1, "udp", candidate.priority, candidate.address, candidate.port, kind)


class _Socket(aioice.ice.StunProtocol):
    """Receives on one local address: STUN goes to aioice, the rest to its reader.

    Whatever arrives, no exception is raised into the event loop.
    """

    receiver: Ice

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        datagram, ice = cast(bytes, data), self.receiver
        if not datagram or (ice.only_here and addr[0] not in ice.addresses):
            return
        try:
            if datagram[0] > 3:
                ice.datagram_arrived(datagram, (addr[0], addr[1]))
            else:
                super().datagram_received(datagram, addr)
        except Exception:
            log.debug("a datagram from %s is dropped", addr, exc_info=True)


class Ice(aioice.ice.Connection):
    """Runs aioice's agent. It also stands in for aiortc's ICE transport, of which DTLS uses `_recv`, `_send` and
    `role`.
    """

    def __init__(
        self,
        controlling: bool,
        addresses: Sequence[str],
        only_here: bool,
        servers: dict[str, Any],
        on_media: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        super().__init__(ice_controlling=controlling, **servers)
        self.remote_is_lite = controlling
        self.addresses = tuple(addresses)
        self.only_here = only_here
        self.heard_at = asyncio.get_running_loop().time()
        self.rtt_s: float | None = None
        self._on_media = on_media
        self._on_lost = on_lost
        self._checked: set[tuple[str, int]] = set()
        self._first_check = asyncio.Event()
        self._handshake_datagrams = 0
        self.secured = False
        """Whether the DTLS handshake is over."""
        self._recv, self._send = self.recv, self.send

    @property
    def role(self) -> str:
        return "controlling" if self.ice_controlling else "controlled"

    def send_now(self, data: bytes) -> bool:
        pair = self._nominated.get(1)
        if pair is None:
            return False
        transport = pair.protocol.transport
        # asyncio queues what the socket does not take; late audio is worth nothing.
        if pair.local_candidate.type != "relay" and cast(Any, transport).get_write_buffer_size():
            return False
        transport.sendto(data, pair.remote_addr)
        return True

    def datagram_arrived(self, data: bytes, source: tuple[str, int]) -> None:
        if source not in self._checked:
            return
        if 127 < data[0] < 192:
            self._on_media(data)
        elif 19 < data[0] < 64 and self._queue.qsize() < _MAX_WAITING_DATAGRAMS and self._may_be_handshake():
            self.data_received(data, 1)

    def _may_be_handshake(self) -> bool:
        """Tell whether one more DTLS record is taken before the handshake is over; afterwards all records are.

        A handshake has an end: a peer that goes on sending records without finishing one is not listened to.
        """
        self._handshake_datagrams += 1
        return self.secured or self._handshake_datagrams <= _MAX_HANDSHAKE_DATAGRAMS

    async def connect(self) -> None:
        # Without a candidate to check, aioice would give up before the other side's first check arrives.
        if not self._check_list and not self._early_checks:
            await self._first_check.wait()
        await super().connect()
        self._checked.add(self._nominated[1].remote_addr)

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109, aioice's signature
    ) -> list[Candidate]:
        """Gather candidates as aioice does, but on our addresses and with our sockets.

        It looks up no name for a literal address, which would cost a thread.
        """
        loop = asyncio.get_running_loop()
        if self.only_here:
            others = [address for address in addresses if ":" not in address]
            self.addresses = tuple(dict.fromkeys([_LOOPBACK, *others[:_MANY_ADDRESSES]]))
        for address in self.addresses or addresses:
            try:
                _, socket = await loop.create_datagram_endpoint(lambda: _Socket(self), local_addr=(address, 0))
            except OSError as error:
                log.info("no socket on %s: %s", address, error)
                continue
            self._protocols.append(socket)
            host, port = socket.transport.get_extra_info("sockname")[:2]
            foundation = candidate_foundation("host", "udp", host)
            # All have the same preference, as in aioice, so pairs are tried in the order that the other side prefers.
            priority = candidate_priority(component, "host")
            socket.local_candidate = Candidate(foundation, component, "udp", priority, host, port, "host")
        sockets = list(self._protocols)
        candidates = [socket.local_candidate for socket in sockets]
        asked = [asyncio.create_task(self._reflexive(socket)) for socket in sockets] if self.stun_server else []
        if self.turn_server is not None:
            asked.append(asyncio.create_task(self._relayed(component)))
        if asked:
            try:
                await asyncio.wait(asked, timeout=_SERVER_S)
            finally:
                for task in asked:
                    task.cancel()
                answers = await asyncio.gather(*asked, return_exceptions=True)
            candidates += [answer for answer in answers if isinstance(answer, Candidate)]
        return candidates

    async def _reflexive(self, socket: aioice.ice.StunProtocol) -> Candidate | None:
        """Ask the STUN server for the address it sees of this socket; return None if that is the socket's own."""
        assert self.stun_server is not None
        base = socket.local_candidate
        if ":" in base.host:
            return None
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        response, _ = await socket.request(request, await _resolved(*self.stun_server))
        host, port = response.attributes["XOR-MAPPED-ADDRESS"]
        if (host, port) == (base.host, base.port):
            return None
        foundation = candidate_foundation("srflx", "udp", base.host)
        priority = candidate_priority(base.component, "srflx")
        return Candidate(foundation, base.component, "udp", priority, host, port, "srflx", base.host, base.port)

    async def _relayed(self, component: int) -> Candidate:
        assert self.turn_server is not None
        candidate, socket = await aioice.ice.relayed_candidate(
            component=component,
            hide_related_address=False,
            protocol_factory=lambda: _Socket(self),
            turn_server=self.turn_server,
            turn_username=self.turn_username,
            turn_password=self.turn_password,
            turn_ssl=self.turn_ssl,
            turn_transport=self.turn_transport,
        )
        self._protocols.append(socket)
        return candidate

    def request_received(self, message: stun.Message, addr: tuple[str, int], protocol: aioice.ice.StunProtocol) -> None:
        super().request_received(message, addr, protocol)
        if self._early_checks:
            self._first_check.set()

    def check_incoming(self, message: stun.Message, addr: tuple[str, int], protocol: aioice.ice.StunProtocol) -> None:
        # This is called only for checks that carry our password. Each new address is answered with a check of ours.
        if addr not in self._checked:
            if len(self._checked) >= _MAX_REMOTE_ADDRESSES:
                return
            self._checked.add(addr)
        self.heard_at = asyncio.get_running_loop().time()
        super().check_incoming(message, addr, protocol)

    def _check_list_maybe_fail(self) -> None:
        """Never fail: the other side may be found by its own checks until the deadline for connecting."""

    def _remote_candidates_expected(self) -> bool:
        return False  # the offer has all of them; connect() needs no timer to look for more

    async def query_consent(self) -> None:
        """Ask the peer again and again whether we may go on sending (RFC 7675), and end the call without its consent.

        A peer that is silent altogether is noticed elsewhere, by a shorter deadline.
        """
        loop = asyncio.get_running_loop()
        agreed_at = loop.time()
        while loop.time() - agreed_at < _CONSENT_LOST_S:
            await asyncio.sleep(_CONSENT_EVERY_S * random.uniform(0.8, 1.2))
            pair = self._nominated.get(1)
            if pair is None or self.remote_password is None:
                return
            asked_at = loop.time()
            request = self.build_request(pair, nominate=False)
            key = self.remote_password.encode()
            try:
                await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=1)
            except stun.TransactionError:
                continue
            agreed_at = self.heard_at = loop.time()
            self.rtt_s = agreed_at - asked_at
        self._on_lost(f"no consent to send for {_CONSENT_LOST_S:g} s")


async def _resolved(host: str, port: int) -> tuple[str, int]:
    try:
        return str(ipaddress.IPv4Address(host)), port
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=2, type=2)
        return str(found[0][4][0]), port
