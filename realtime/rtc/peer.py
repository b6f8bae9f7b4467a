"""Answers one WebRTC peer: audio packets and text messages both ways, until one side has gone."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from codec_stream.packets import AudioPacket
from realtime.rtc.connection import Connection
from realtime.rtc.media import Media
from realtime.rtc.sdp import Local, Offer, write_answer

log = logging.getLogger("voiced.rtc")

MAX_PAYLOAD_BYTES = 1300
MAX_WAITING_BYTES = 1024 * 1024
_REPORT_EVERY_S = 1.0
_AWAY_S = 5.0
_CLOSED_HERE = "closed here"


@dataclass(frozen=True)
class PeerConfig:
    """Says where a peer can reach us, and how long we wait for it.

    `addresses` are the local ones to offer; none stands for all of this machine's but loopback. `only_here` offers all
    of them and loopback too, for callers on this machine and no others. `stun` and `turn` are servers as URLs,
    `stun:host:port` and `turn:host:port?transport=udp`. `connect_s` bounds the time from the start until the path and
    the channel stand. After `silence_s` without anything from the peer it counts as gone.
    """

    addresses: tuple[str, ...] = ()
    only_here: bool = False
    stun: str = ""
    turn: str = ""
    turn_username: str = ""
    turn_password: str = ""
    connect_s: float = 12.0
    silence_s: float = 15.0


@dataclass(frozen=True, slots=True)
class PeerStats:
    """Tells how a call's packets fare.

    `lost_fraction` (0 to 1) is the share of our audio that the peer last told it missed; None before it told. `rtt_s`
    is the round trip in seconds, where it is known.
    """

    rtt_s: float | None
    packets_sent: int
    packets_received: int
    lost_fraction: float | None


class Peer:
    """Talks to one peer. It is made by `answering`.

    `run` or `discard` must be called, even after `close`, for they release what is held. `answer` is the session
    description to send back. `encoding` is the codec that `send_audio` takes, empty if we send none. `incoming` maps
    the payload types of the audio that `on_audio` gets to their codecs.
    """

    def __init__(
        self,
        offer: Offer,
        config: PeerConfig,
        on_audio: Callable[[AudioPacket, float], None],
        on_message: Callable[[str], None],
        on_open: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._on_audio, self._on_message, self._on_open = on_audio, on_message, on_open
        self._has_channel = offer.data is not None
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._media = Media(offer.audio, time.time() - self._loop.time()) if offer.audio is not None else None
        self.encoding = self._media.encoding if self._media is not None else ""
        self.incoming: Mapping[int, str] = self._media.incoming if self._media is not None else MappingProxyType({})
        self._connection = Connection(
            offer,
            self,
            config.addresses,
            config.only_here,
            config.stun,
            config.turn,
            config.turn_username,
            config.turn_password,
        )
        self.answer = ""

    @classmethod
    async def answering(
        cls,
        offer: Offer,
        config: PeerConfig,
        on_audio: Callable[[AudioPacket, float], None],
        on_message: Callable[[str], None],
        on_open: Callable[[], None],
    ) -> Peer:
        """Make the peer for `offer`, with its sockets open and `answer` written, in 5 s at most.

        `on_audio` gets every packet of a source of our codecs with the loop's time, at once, in the order of arrival.
        Packets of other payload types are among them: they keep the sequence whole. `on_message` gets every text of the
        channel. `on_open` is called once, when messages can be sent; for an offer without a channel, when audio can.
        Raises OSError if no socket can be bound; TimeoutError, which is one too, if gathering takes longer.
        """
        peer = cls(offer, config, on_audio, on_message, on_open)
        try:
            candidates = await peer._connection.gather()
        except BaseException:
            await peer._connection.close()
            raise
        ufrag, pwd = peer._connection.ice_credentials
        local = Local(
            session_id=secrets.randbits(62),
            ice_ufrag=ufrag,
            ice_pwd=pwd,
            fingerprints=(peer._connection.fingerprint,),
            candidates=tuple(candidate.to_sdp() for candidate in candidates),
            host=candidates[0].host,
            port=candidates[0].port,
            ssrc=peer._media.stream.ssrc if peer._media is not None else 0,
            cname=peer._media.cname if peer._media is not None else "",
        )
        peer.answer = write_answer(offer, local)
        return peer

    @property
    def connected(self) -> bool:
        """Tell whether audio can flow."""
        return self._connection.connected

    @property
    def candidate_types(self) -> tuple[str, str]:
        """Return the candidate types of the path in use, ours and theirs: host, srflx, prflx or relay.

        Both are empty before there is a path.
        """
        return self._connection.candidate_types

    @property
    def lossy(self) -> bool:
        """Tell whether the peer misses packets of ours: from a report of loss until none has told of any for ten
        seconds.
        """
        return self._media is not None and self._media.lossy

    @property
    def messages_bytes_waiting(self) -> int:
        """Return how many bytes of messages the peer has not acknowledged."""
        return self._connection.messages_bytes_waiting

    @property
    def max_message_bytes(self) -> int:
        """Return the size of the largest message that may be sent, in bytes of UTF-8."""
        return self._connection.max_message_bytes

    @property
    def stats(self) -> PeerStats:
        """Return how the packets fare so far."""
        media = self._media
        told = media.rtt_s if media is not None else None
        return PeerStats(
            rtt_s=told if told is not None else self._connection.rtt_s,
            packets_sent=media.stream.packets if media is not None else 0,
            packets_received=media.received if media is not None else 0,
            lost_fraction=media.lost_fraction if media is not None else None,
        )

    async def run(self) -> str:
        """Connect, stay until the call is over, and return why it ended.

        When it returns or is cancelled, all sockets and tasks are released.
        """
        connecting = self._loop.create_task(self._connect())
        try:
            return await self._until_over(connecting)
        finally:
            connecting.cancel()
            closing = self._loop.create_task(self._release(connecting))
            try:
                await asyncio.shield(closing)
            finally:
                await closing

    def close(self) -> None:
        """End the call: `run` returns 'closed here' once messages sent before are acknowledged, 1 s later at most."""
        self.ended(_CLOSED_HERE)

    async def discard(self) -> None:
        """Release everything without having run."""
        await self._connection.close()

    @property
    def away(self) -> bool:
        """Tell whether nothing has come from the peer for so long (5 s) that it may be gone."""
        return self.silent_s(self._loop.time()) > _AWAY_S

    def silent_s(self, now: float) -> float:
        """Return the seconds since anything authenticated came, at the loop's time `now`.

        That is RTP, RTCP, a message, a check or its answer.
        """
        return max(0.0, now - self._connection.heard_at)

    def send_audio(self, payload: bytes, ticks: int) -> None:
        """Send one packet now, `ticks` of the RTP clock long.

        Without a connection only time passes; while the socket is full the packet is lost. Raises ValueError for a
        payload that fits no packet.
        """
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a payload of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} fit a packet")
        if self._media is None or not self.encoding or not self._connection.connected:
            self.skip(ticks)
            return
        self._connection.send_rtp(self._media.packet(payload, ticks, self._loop.time()))

    def skip(self, ticks: int) -> None:
        """Let `ticks` of the RTP clock pass without packets."""
        if self._media is not None:
            self._media.skip(ticks)

    def send_message(self, text: str) -> None:
        """Send a text on the channel; it is dropped while there is none.

        A peer that leaves 1 MiB unacknowledged is given up. Raises ValueError for a text of more than
        `max_message_bytes`.
        """
        size = len(text.encode())
        if size > self.max_message_bytes:
            raise ValueError(f"a message of {size} bytes; the peer takes {self.max_message_bytes}")
        if self._connection.send_message(text) and self.messages_bytes_waiting > MAX_WAITING_BYTES:
            self.ended("takes no messages")

    async def _connect(self) -> None:
        await self._connection.connect()
        if self._has_channel:
            await self._opened
        else:
            self._deliver(self._on_open)

    async def _until_over(self, connecting: asyncio.Task[None]) -> str:
        await asyncio.wait(
            (connecting, self._over), timeout=self._config.connect_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self._over.done():
            return self._over.result()
        if not connecting.done():
            return "never connected"
        try:
            connecting.result()
        except Exception as error:  # whatever a stranger's certificate or handshake makes a library raise
            log.info("a peer never connected: %s", error)
            return "never connected"
        next_report = self._loop.time()
        while not self._over.done():
            now = self._loop.time()
            left = self._config.silence_s - self.silent_s(now)
            if left <= 0:
                return f"silent for {self._config.silence_s:g} s"
            if now >= next_report:
                if self._media is not None:
                    self._connection.send_rtcp(self._media.report(now))
                next_report = now + _REPORT_EVERY_S
            await asyncio.wait((self._over,), timeout=max(0.001, min(left, next_report - now)))
        return self._over.result()

    async def _release(self, connecting: asyncio.Task[None]) -> None:
        await asyncio.gather(connecting, return_exceptions=True)
        if self._media is not None:
            self._connection.send_rtcp(self._media.goodbye(self._loop.time()))
        await self._connection.close(last_words=self._over.done() and self._over.result() == _CLOSED_HERE)
        # both futures are settled, so that neither is left pending
        self.ended(_CLOSED_HERE)
        self._opened.cancel()

    # What the connection tells its receiver.

    def rtp_arrived(self, data: bytes, now: float) -> None:
        packet = self._media.rtp_arrived(data, now) if self._media is not None else None
        if packet is not None:
            self._deliver(self._on_audio, packet, now)

    def rtcp_arrived(self, data: bytes, now: float) -> None:
        if self._media is not None:
            self._media.rtcp_arrived(data, now)

    def message_arrived(self, text: str) -> None:
        self._deliver(self._on_message, text)

    def channel_opened(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)
            self._deliver(self._on_open)

    def ended(self, reason: str) -> None:
        """Note why the call is over. The first reason counts."""
        if not self._over.done():
            self._over.set_result(reason)

    def _deliver(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call our owner back. A fault of the owner's is not the peer's, and ends this call only."""
        try:
            callback(*arguments)
        except Exception:
            log.exception("what came from a peer could not be taken")
            self.ended("failed here")
