"""The secured path to one peer: ICE, DTLS, SRTP and SCTP. The only file that knows aiortc and aioice.

Their transports are used and none of their media classes, which decode in a thread per call, wait in a jitter buffer of
their own and fall deaf after an empty payload. Media does not pass through their pump either: a datagram is decrypted
and delivered as it is read from the socket, and sent without a queue.

Relied on, beyond what they document (aiortc 1.16, aioice 0.13):
- aioice.Connection calls `get_component_candidates`, `check_incoming`, `query_consent`, `_check_list_maybe_fail` and
  `_remote_candidates_expected` on itself. `_protocols` are the sockets it closes, `_early_checks` the checks that came
  before `connect`, `_check_list` the pairs, `_nominated[1]` the one in use, `_queue` what `recv` takes from.
- StunProtocol is a socket's protocol: `datagram_received` takes STUN, `request` makes a transaction; `receiver`,
  `transport` and `local_candidate` are its own.
- RTCDtlsTransport takes of its ICE transport `_recv`, `_send` and `role`. It has `_set_role` and `_state`; `_rx_srtp`
  and `_tx_srtp` once connected; SCTP is sent through its `_send_data`.
- RTCSctpTransport takes packets in `_handle_data` and data in `_receive_data_chunk`. `_advertised_rwnd`,
  `_inbound_streams`, `_sack_misordered` are what it holds for the other side, `_outbound_queue` and `_flight_size` what
  it holds of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import aioice.ice
import pylibsrtp
from aioice import stun
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aiortc import RTCCertificate, RTCDataChannel, RTCIceServer
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, State
from aiortc.rtcicetransport import connection_kwargs
from aiortc.rtcsctptransport import DataChunk, RTCSctpCapabilities, RTCSctpTransport
from OpenSSL import SSL

from realtime.rtc.candidates import RemoteCandidate, reachable
from realtime.rtc.sdp import MAX_MESSAGE_BYTES, Fingerprint, Offer

logger = logging.getLogger(__name__)

EVENTS_LABEL = "oai-events"
"""The data channel that counts; the other side creates it."""

GATHER_S = 5.0
_SERVER_S = 4.0
_CONSENT_EVERY_S = 5.0
_CONSENT_LOST_S = 30.0  # RFC 7675 section 5.1
_CLOSE_S = 2.0
_LAST_WORDS_S = 1.0
_CERTIFICATE_S = 24 * 3600

_MAX_WAITING_DATAGRAMS = 64
_MAX_HANDSHAKE_DATAGRAMS = 256  # of some 20 that a handshake has, were each lost again and again
_MAX_REMOTE_ADDRESSES = 64
_LOOPBACK = "127.0.0.1"
_MANY_ADDRESSES = 4  # of one machine; containers give it dozens
_MAX_SOURCES = 16
_MAX_STREAMS = 16
_MAX_FRAGMENTS = 1024


class Receiver(Protocol):
    """Who is told what comes. `now` is the event loop's time."""

    def rtp_arrived(self, data: bytes, now: float) -> None: ...
    def rtcp_arrived(self, data: bytes, now: float) -> None: ...
    def message_arrived(self, text: str) -> None: ...
    def channel_opened(self) -> None: ...
    def ended(self, reason: str) -> None: ...


class Connection:
    """The path to the peer that made `offer`. Addresses: those offered to it; none: all of this machine's. With
    `only_here` loopback is one of them, and nothing counts that comes from another machine."""

    def __init__(
        self,
        offer: Offer,
        receiver: Receiver,
        addresses: Sequence[str] = (),
        only_here: bool = False,
        stun_url: str = "",
        turn_url: str = "",
        turn_username: str = "",
        turn_password: str = "",
    ) -> None:
        self._offer = offer
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        servers = [RTCIceServer(stun_url)] if stun_url else []
        servers += [RTCIceServer(turn_url, turn_username, turn_password)] if turn_url else []
        settings = connection_kwargs(servers)
        self._ice = _Ice(offer.ice_lite, addresses, only_here, settings, self._media_arrived, self._ended)
        self._certificate = _certificate(int(time.monotonic() // _CERTIFICATE_S))
        self._dtls = _Dtls(self._ice, self._certificate)
        self._dtls._set_role("client" if offer.setup == "active" else "server")
        self._dtls.on("statechange", self._dtls_changed)
        self._sctp = _Sctp(self._dtls, self._ice, self._ended) if offer.data is not None else None
        self._channel: RTCDataChannel | None = None
        self._sources: set[int] = set()
        self._closing = False

    @property
    def connected(self) -> bool:
        """Whether media can flow: a path is found and the other side is who the offer says."""
        return not self._closing and self._dtls._state is State.CONNECTED

    @property
    def heard_at(self) -> float:
        """The loop's time when something authenticated last came."""
        return self._ice.heard_at

    @property
    def rtt_s(self) -> float | None:
        """Round trip of the last consent check."""
        return self._ice.rtt_s

    @property
    def candidate_types(self) -> tuple[str, str]:
        """Of the pair in use, ours and theirs; empty without one."""
        pair = self._ice._nominated.get(1)
        return (pair.local_candidate.type, pair.remote_candidate.type) if pair is not None else ("", "")

    @property
    def ice_credentials(self) -> tuple[str, str]:
        return self._ice.local_username, self._ice.local_password

    @property
    def fingerprint(self) -> Fingerprint:
        found = next(print_ for print_ in self._certificate.getFingerprints() if print_.algorithm == "sha-256")
        return Fingerprint(found.algorithm, found.value)

    @property
    def max_message_bytes(self) -> int:
        """What the other side takes at most."""
        limit = self._offer.data.max_message_bytes if self._offer.data is not None else 0
        return min(limit, MAX_MESSAGE_BYTES) if limit else MAX_MESSAGE_BYTES

    @property
    def messages_bytes_waiting(self) -> int:
        """Bytes of messages that are not acknowledged yet."""
        if self._channel is None or self._sctp is None:
            return 0
        return self._channel.bufferedAmount + self._sctp.bytes_outstanding

    async def gather(self) -> tuple[Candidate, ...]:
        """Open sockets and ask the servers, in `GATHER_S` at most. Raises OSError if no address can be bound."""
        async with asyncio.timeout(GATHER_S):
            await self._ice.gather_candidates()
        found = self._ice.local_candidates
        if not found:
            raise OSError(f"No UDP socket could be bound on {self._ice.addresses or 'any address'}.")
        ours = [candidate.host for candidate in found if candidate.type == "host"]
        self._ice.remote_username, self._ice.remote_password = self._offer.ice_ufrag, self._offer.ice_pwd
        for candidate in reachable(self._offer.candidates, ours, self._ice.only_here):
            await self._ice.add_remote_candidate(_signalled(candidate))
        return tuple(found)

    async def connect(self) -> None:
        """Returns once media can flow and SCTP has begun. Without end while nobody answers; raises
        ConnectionError if somebody answers who cannot be talked to."""
        await self._ice.connect()
        fingerprints = [RTCDtlsFingerprint(print_.algorithm, print_.value) for print_ in self._offer.fingerprints]
        await self._dtls.start(RTCDtlsParameters(fingerprints))
        if self._dtls.state != "connected":
            raise ConnectionError("the DTLS handshake failed")
        self._ice.secured = True
        if self._sctp is not None and self._offer.data is not None:
            self._sctp.on("datachannel", self._channel_offered)
            await self._sctp.start(RTCSctpCapabilities(self._offer.data.max_message_bytes), self._offer.data.port)

    async def close(self, last_words: bool = False) -> None:
        """Say goodbye, if there is anybody, and release everything, in 2 s at most. With `last_words`, messages that
        are under way get a second more to arrive. May be called twice."""
        if self._closing:
            return
        if last_words:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    while self.messages_bytes_waiting and self._dtls.state == "connected":
                        await asyncio.sleep(0.01)
        self._closing = True
        if self._sctp is not None:
            await self._sctp.stop()
        await self._dtls.stop()
        # A TURN server that has gone would be asked for half a minute; its allocation ends by itself.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._ice.close()

    def send_rtp(self, packet: bytes) -> bool:
        """Whether it left: not without a connection, nor while the socket is full."""
        return self.connected and self._ice.send_now(self._dtls._tx_srtp.protect(packet))

    def send_rtcp(self, packet: bytes) -> bool:
        return self.connected and self._ice.send_now(self._dtls._tx_srtp.protect_rtcp(packet))

    def send_message(self, text: str) -> bool:
        """Whether there was an open channel to take it."""
        if self._closing or self._channel is None or self._channel.readyState != "open":
            return False
        self._channel.send(text)
        return True

    def _media_arrived(self, data: bytes) -> None:
        """An SRTP or SRTCP packet from an address that passed a check."""
        srtp = self._dtls._rx_srtp
        if srtp is None or self._closing or len(data) < 12:
            return
        is_rtcp = 192 <= data[1] <= 223  # RFC 5761 section 4
        source = int.from_bytes(data[4:8] if is_rtcp else data[8:12], "big")
        if source not in self._sources and len(self._sources) >= _MAX_SOURCES:
            return  # libsrtp keeps a context for each source it meets
        try:
            plain = srtp.unprotect_rtcp(data) if is_rtcp else srtp.unprotect(data)
        except (pylibsrtp.Error, ValueError):
            return  # not theirs, a replay, or too long
        now = self._loop.time()
        self._sources.add(source)
        self._ice.heard_at = now
        if is_rtcp:
            self._receiver.rtcp_arrived(plain, now)
        else:
            self._receiver.rtp_arrived(plain, now)

    def _channel_offered(self, channel: RTCDataChannel) -> None:
        if channel.label != EVENTS_LABEL or self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._message_arrived)
        channel.on("close", self._channel_closed)
        self._receiver.channel_opened()

    def _message_arrived(self, message: str | bytes) -> None:
        if isinstance(message, bytes) or self._closing or self._channel is None:
            return
        if len(message) > MAX_MESSAGE_BYTES or len(message.encode()) > MAX_MESSAGE_BYTES:
            self._channel.close()
            self._ended(f"sent a message of more than {MAX_MESSAGE_BYTES // 1024} KiB")
            return
        self._receiver.message_arrived(message)

    def _channel_closed(self) -> None:
        self._ended("closed by the peer")

    def _dtls_changed(self) -> None:
        if self._dtls.state == "closed":
            self._ended("closed by the peer")

    def _ended(self, reason: str) -> None:
        if not self._closing:
            self._receiver.ended(reason)


@functools.lru_cache(maxsize=1)
def _certificate(day: int) -> RTCCertificate:
    """One for all calls of a day: making one costs as much as a handshake."""
    return RTCCertificate.generateCertificate()


def _signalled(candidate: RemoteCandidate) -> Candidate:
    # An offer may repeat what a peer learned of itself; aioice takes only the types that are signalled.
    kind = "srflx" if candidate.type == "prflx" else candidate.type
    return Candidate(candidate.foundation, 1, "udp", candidate.priority, candidate.address, candidate.port, kind)


class _Socket(aioice.ice.StunProtocol):
    """One local address: STUN to aioice, the rest to its reader; whatever arrives, nothing is raised into the loop."""

    receiver: _Ice

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
            logger.debug("a datagram from %s is dropped", addr, exc_info=True)


class _Ice(aioice.ice.Connection):
    """aioice's agent. It stands in for aiortc's ICE transport too, of which DTLS uses `_recv`, `_send` and `role`."""

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
        """The handshake is over."""
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
        """A handshake has an end; who goes on throwing records at one is not listened to. Later all are data."""
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
        """As aioice's, on our addresses and with our sockets; and it looks up no name of a literal address, which
        would cost a thread."""
        loop = asyncio.get_running_loop()
        if self.only_here:
            others = [address for address in addresses if ":" not in address]
            self.addresses = tuple(dict.fromkeys([_LOOPBACK, *others[:_MANY_ADDRESSES]]))
        for address in self.addresses or addresses:
            try:
                _, socket = await loop.create_datagram_endpoint(lambda: _Socket(self), local_addr=(address, 0))
            except OSError as error:
                logger.info("no socket on %s: %s", address, error)
                continue
            self._protocols.append(socket)
            host, port = socket.transport.get_extra_info("sockname")[:2]
            foundation = candidate_foundation("host", "udp", host)
            # All at the same preference, as aioice's own: pairs are tried in the order of the other side's.
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
        """How the STUN server sees this socket; None if that is what it already is."""
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
        # Called with checks that carry our password. Every new address is answered with a check of ours.
        if addr not in self._checked:
            if len(self._checked) >= _MAX_REMOTE_ADDRESSES:
                return
            self._checked.add(addr)
        self.heard_at = asyncio.get_running_loop().time()
        super().check_incoming(message, addr, protocol)

    def _check_list_maybe_fail(self) -> None:
        """Never: the other side may be found by its own checks until the deadline for connecting."""

    def _remote_candidates_expected(self) -> bool:
        return False  # the offer has all of them; connect() needs no timer to look for more

    async def query_consent(self) -> None:
        """Ask whether we may go on sending (RFC 7675). Silence is the peer's matter and has a shorter deadline."""
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


class _Dtls(RTCDtlsTransport):
    def __init__(self, ice: _Ice, certificate: RTCCertificate) -> None:
        super().__init__(cast(Any, ice), [certificate])

    async def _send_data(self, data: bytes) -> None:
        # SCTP's timers send from tasks nobody waits for; what they send after the end is lost like any packet.
        with contextlib.suppress(ConnectionError, SSL.Error):
            await super()._send_data(data)


class _Sctp(RTCSctpTransport):
    """SCTP that ends the call when the other side breaks it or makes us hold more than its bounds."""

    def __init__(self, dtls: _Dtls, ice: _Ice, on_broken: Callable[[str], None]) -> None:
        super().__init__(dtls)
        self._ice = ice
        self._on_broken = on_broken
        self._broken = False

    @property
    def bytes_outstanding(self) -> int:
        """Bytes taken from the channel and not acknowledged yet."""
        return int(self._flight_size) + sum(len(chunk.user_data) for chunk in self._outbound_queue)

    async def _handle_data(self, data: bytes) -> None:
        if self._broken:
            return
        self._ice.heard_at = asyncio.get_running_loop().time()
        try:
            await super()._handle_data(data)
        except Exception:
            logger.debug("a peer broke SCTP", exc_info=True)
            self._break()

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        await super()._receive_data_chunk(chunk)
        stream = self._inbound_streams.get(chunk.stream_id)
        if (
            self._advertised_rwnd < 0
            or len(self._inbound_streams) > _MAX_STREAMS
            or len(self._sack_misordered) > _MAX_FRAGMENTS
            or (stream is not None and len(stream.reassembly) > _MAX_FRAGMENTS)
        ):
            self._break()

    def _break(self) -> None:
        self._broken = True
        self._on_broken("broke the data channel's protocol")
