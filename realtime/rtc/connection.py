"""Keeps the secured path to one peer: DTLS, SRTP and SCTP over `ice`. This is the only file that knows aiortc.

aiortc's transports are used and none of its media classes, which decode in a thread per call, wait in a jitter buffer
of their own and fall deaf after an empty payload. Media does not pass through its pump either: a datagram is decrypted
and delivered as it is read from the socket, and sent without a queue.

Relied on, beyond what it documents (aiortc 1.16):
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
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import pylibsrtp
from aioice.candidate import Candidate
from aiortc import RTCCertificate, RTCDataChannel, RTCIceServer
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, State
from aiortc.rtcicetransport import connection_kwargs
from aiortc.rtcsctptransport import DataChunk, RTCSctpCapabilities, RTCSctpTransport
from OpenSSL import SSL

from realtime.rtc.candidates import reachable
from realtime.rtc.ice import Ice, signalled
from realtime.rtc.sdp import MAX_MESSAGE_BYTES, Fingerprint, Offer

log = logging.getLogger("voiced.rtc")

EVENTS_LABEL = "oai-events"
"""The label of the data channel that carries events; the other side creates it. Channels of other labels are closed."""

GATHER_S = 5.0
_CLOSE_S = 2.0
_LAST_WORDS_S = 1.0
_CERTIFICATE_S = 24 * 3600

_MAX_SOURCES = 16
_MAX_STREAMS = 16
_MAX_FRAGMENTS = 1024


class Receiver(Protocol):
    """Is told what comes from the peer. `now` is the event loop's time."""

    def rtp_arrived(self, data: bytes, now: float) -> None: ...
    def rtcp_arrived(self, data: bytes, now: float) -> None: ...
    def message_arrived(self, text: str) -> None: ...
    def channel_opened(self) -> None: ...
    def ended(self, reason: str) -> None: ...


class Connection:
    """Connects to the peer that made `offer`.

    `addresses` are those offered to it; with none, all addresses of this machine are. With `only_here` loopback is one
    of them, and nothing counts that comes from another machine.
    """

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
        self._ice = Ice(offer.ice_lite, addresses, only_here, settings, self._media_arrived, self._ended)
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
        """Tell whether media can flow: a path is found, and the other side is who the offer says."""
        return not self._closing and self._dtls._state is State.CONNECTED

    @property
    def heard_at(self) -> float:
        """Return the loop's time at which something authenticated last came from the peer."""
        return self._ice.heard_at

    @property
    def rtt_s(self) -> float | None:
        """Return the round trip of the last consent check in seconds; None before the first."""
        return self._ice.rtt_s

    @property
    def candidate_types(self) -> tuple[str, str]:
        """Return the candidate types of the pair in use, ours and theirs; empty without one."""
        pair = self._ice._nominated.get(1)
        return (pair.local_candidate.type, pair.remote_candidate.type) if pair is not None else ("", "")

    @property
    def ice_credentials(self) -> tuple[str, str]:
        """Return our ICE user fragment and password."""
        return self._ice.local_username, self._ice.local_password

    @property
    def fingerprint(self) -> Fingerprint:
        """Return the SHA-256 fingerprint of our certificate."""
        found = next(print_ for print_ in self._certificate.getFingerprints() if print_.algorithm == "sha-256")
        return Fingerprint(found.algorithm, found.value)

    @property
    def max_message_bytes(self) -> int:
        """Return the size of the largest message that may be sent: the peer's bound, or ours if that is less."""
        limit = self._offer.data.max_message_bytes if self._offer.data is not None else 0
        return min(limit, MAX_MESSAGE_BYTES) if limit else MAX_MESSAGE_BYTES

    @property
    def messages_bytes_waiting(self) -> int:
        """Return how many bytes of messages the peer has not acknowledged yet."""
        if self._channel is None or self._sctp is None:
            return 0
        return self._channel.bufferedAmount + self._sctp.bytes_outstanding

    async def gather(self) -> tuple[Candidate, ...]:
        """Open sockets, ask the STUN and TURN servers, and return our candidates, in `GATHER_S` at most.

        Raises OSError if no address can be bound.
        """
        async with asyncio.timeout(GATHER_S):
            await self._ice.gather_candidates()
        found = self._ice.local_candidates
        if not found:
            raise OSError(f"No UDP socket could be bound on {self._ice.addresses or 'any address'}.")
        ours = [candidate.host for candidate in found if candidate.type == "host"]
        self._ice.remote_username, self._ice.remote_password = self._offer.ice_ufrag, self._offer.ice_pwd
        for candidate in reachable(self._offer.candidates, ours, self._ice.only_here):
            await self._ice.add_remote_candidate(signalled(candidate))
        return tuple(found)

    async def connect(self) -> None:
        """Return once media can flow and SCTP has begun; wait without end while nobody answers.

        Raises ConnectionError if somebody answers who cannot be talked to.
        """
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
        """Say goodbye to the peer, if it is there, and release everything, in 2 s at most.

        With `last_words`, messages that are under way get a second more to arrive. May be called twice.
        """
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
        # A TURN server that does not answer would be asked for half a minute. Its allocation ends by itself.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._ice.close()

    def send_rtp(self, packet: bytes) -> bool:
        """Send an RTP packet and tell whether it left. It does not without a connection, nor while the socket is
        full.
        """
        return self.connected and self._ice.send_now(self._dtls._tx_srtp.protect(packet))

    def send_rtcp(self, packet: bytes) -> bool:
        """Send an RTCP packet and tell whether it left."""
        return self.connected and self._ice.send_now(self._dtls._tx_srtp.protect_rtcp(packet))

    def send_message(self, text: str) -> bool:
        """Send a text and tell whether there was an open channel to take it."""
        if self._closing or self._channel is None or self._channel.readyState != "open":
            return False
        self._channel.send(text)
        return True

    def _media_arrived(self, data: bytes) -> None:
        """Take an SRTP or SRTCP packet from an address that passed a check."""
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
            return  # it was not encrypted by this peer, it is a replay, or it is too long
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
    """Make a certificate, once for all calls of a `day`: making one costs as much as a handshake."""
    return RTCCertificate.generateCertificate()


class _Dtls(RTCDtlsTransport):
    def __init__(self, ice: Ice, certificate: RTCCertificate) -> None:
        super().__init__(cast(Any, ice), [certificate])

    async def _send_data(self, data: bytes) -> None:
        # SCTP's timers send from tasks that nothing awaits. What they send after the end may get lost, like any packet.
        with contextlib.suppress(ConnectionError, SSL.Error):
            await super()._send_data(data)


class _Sctp(RTCSctpTransport):
    """Runs SCTP, and ends the call when the other side breaks its rules or makes us hold more than the bounds allow."""

    def __init__(self, dtls: _Dtls, ice: Ice, on_broken: Callable[[str], None]) -> None:
        super().__init__(dtls)
        self._ice = ice
        self._on_broken = on_broken
        self._broken = False

    @property
    def bytes_outstanding(self) -> int:
        """Return how many bytes were taken from the channel and are not acknowledged yet."""
        return int(self._flight_size) + sum(len(chunk.user_data) for chunk in self._outbound_queue)

    async def _handle_data(self, data: bytes) -> None:
        if self._broken:
            return
        self._ice.heard_at = asyncio.get_running_loop().time()
        try:
            await super()._handle_data(data)
        except Exception:
            log.debug("a peer broke SCTP", exc_info=True)
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
