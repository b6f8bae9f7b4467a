"""Scope: what a hostile or broken client, or anybody who finds the port, can send: an honest client's call goes on,
a call that is broken ends, and everything is given back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import socket
import struct
from collections.abc import Callable

import pylibsrtp
import pytest
from aioice import stun
from aiortc.rtcsctptransport import AbortChunk, DataChunk
from google_crc32c import value as crc32c

from realtime.rtc.peer import Peer
from realtime.rtc.sdp import parse_offer
from tests.rtc.calls import Call, PacketTrack, call, config, held, opus_tone, until
from tests.rtc.offers import CHROMIUM
from tests.rtc.relay import Relay

OPUS = 96  # aiortc's payload type


def rtp(number: int, payload: bytes, kind: int = OPUS, ssrc: int = 5, first: int = 0x80) -> bytes:
    return struct.pack("!BBHLL", first, kind, number & 0xFFFF, 960 * number, ssrc) + payload


def port_of(peer: Peer) -> tuple[str, int]:
    found = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+)", peer.answer)
    assert found is not None
    return found[1], int(found[2])


async def still_speaks(running: Call) -> None:
    """The honest part of the call works, both ways."""
    assert running.channel is not None
    heard, said = len(running.packets), len(running.client_packets)
    for number in range(5):
        await running.inject(rtp(1000 + number, b"audio", ssrc=6))
        running.peer.send_audio(b"\xf8\xff\xfe", 960)
    running.channel.send("hello")
    await until(lambda: "hello" in running.messages)
    await until(lambda: len(running.packets) >= heard + 5 and len(running.client_packets) >= said + 5)


async def test_empty_long_and_padded_payloads_arrive_as_they_are() -> None:
    async with call() as running:
        payloads = [b"", b"\x78", bytes(1275), b"", b"audio"]
        for number, payload in enumerate(payloads):
            await running.inject(rtp(number, payload))
        await running.inject(rtp(5, bytes(3) + b"\x04", first=0xA0))  # padding only
        await until(lambda: len(running.packets) == 6)
        assert [packet.payload for packet in running.packets] == [*payloads, b""]
        await still_speaks(running)


async def test_packets_come_at_once_in_the_order_of_their_arrival_and_a_replay_once() -> None:
    async with call() as running:
        relayed: list[bytes] = []
        ice = running.dtls.transport._connection
        send = ice.send

        async def recorded(data: bytes) -> None:
            relayed.append(data)
            await send(data)

        running.dtls.transport._send = recorded
        for number in (3, 1, 2, 9):
            await running.inject(rtp(number, bytes([number])))
        for _ in range(50):
            for data in relayed:
                await send(data)
        await running.inject(rtp(10, b"\x0a"))
        await until(lambda: len(running.packets) == 5)
        assert [packet.sequence for packet in running.packets] == [3, 1, 2, 9, 10]


async def test_garbage_under_the_clients_own_keys_is_dropped() -> None:
    chance = random.Random(4)
    async with call() as running:
        for number in range(300):
            head = bytes((chance.choice((0x80, 0x90, 0xA0, 0xBF, 0x8F)), chance.choice((OPUS, 13, 127, OPUS | 0x80))))
            with contextlib.suppress(pylibsrtp.Error):  # its sender's library refuses some of it too
                await running.inject(head + struct.pack("!HLL", number, 0, 5) + chance.randbytes(chance.randrange(40)))
        for kind in range(200, 208):
            for size in range(6):
                for count in (0, 1, 31):
                    body = struct.pack("!BBHL", 0x80 | count, kind, size, 5) + chance.randbytes(4 * size)
                    await running.inject(body)
        await still_speaks(running)
        assert not running.running.done()


async def test_many_sources_are_not_kept() -> None:
    async with call() as running:
        await running.inject(rtp(1, b"first", ssrc=6))
        for ssrc in range(1000, 3000):
            await running.inject(rtp(1, b"x", ssrc=ssrc))
            await asyncio.sleep(0)  # the loop reads a datagram a round
        await running.inject(rtp(2, b"last", ssrc=6))
        await until(lambda: bool(running.packets) and running.packets[-1].payload == b"last")
        assert len({packet.ssrc for packet in running.packets}) == 16
        await still_speaks(running)


async def test_anybody_may_throw_garbage_at_the_port() -> None:
    chance = random.Random(5)
    async with call(PacketTrack(opus_tone(500))) as running:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.connect(port_of(running.peer))
            for number in range(2000):
                head = chance.choice(
                    (b"", b"\x00\x01", b"\x00\x01\x00\x00\x21\x12\xa4\x42", b"\x16\xfe\xff", b"\x15\xfe\xfd")
                )
                stranger.send(head + chance.randbytes(chance.randrange(1, 200)))
                if number % 50 == 0:
                    await asyncio.sleep(0)
            stranger.send(rtp(1, b"forged"))
            stranger.send(bytes(60000))
            for attributes in ({}, {"USERNAME": "a:b"}, {"USERNAME": "x" * 500, "PRIORITY": 1}):
                check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=dict(attributes))
                check.add_message_integrity(b"a wrong password is this")
                stranger.send(bytes(check))
        await still_speaks(running)
        assert all(packet.payload != b"forged" for packet in running.packets)


async def test_a_stranger_during_the_handshake_does_not_break_it() -> None:
    relay = await Relay.open(delay_s=0.05)
    async with call(relay=relay, opens=False) as running:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.connect(port_of(running.peer))
            while not running.opened.is_set():
                # a fatal alert and a broken record, in the clear
                stranger.send(b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28")
                stranger.send(b"\x16\xfe\xfd" + bytes(8) + b"\x00\x40" + os.urandom(64))
                await asyncio.sleep(0.005)
                assert not running.running.done()
        await until(lambda: running.channel is not None and running.channel.readyState == "open")
        await still_speaks(running)
    relay.close()


async def test_a_flood_before_anybody_connects_is_not_kept() -> None:
    peer = await Peer.answering(
        parse_offer(CHROMIUM), config(connect_s=0.5), lambda p, t: None, lambda m: None, lambda: None
    )
    running = asyncio.create_task(peer.run())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(port_of(peer))
        for _ in range(200):
            stranger.send(b"\x16\xfe\xff" + bytes(1000))
            stranger.send(b"\x80" + bytes(1000))
            await asyncio.sleep(0)
    assert peer._connection._ice._queue.qsize() == 0
    assert await running == "never connected"


async def test_a_client_with_another_certificate_than_it_promised_is_refused() -> None:
    def forged(offer: str) -> str:
        return re.sub(r"(a=fingerprint:sha-\d+ )..", r"\g<1>00", offer)

    async with call(change_offer=forged, opens=False) as running:
        async with asyncio.timeout(4):
            assert await running.running == "never connected"
        assert not running.opened.is_set()
        assert (running.packets, running.messages) == ([], [])


async def test_five_hundred_offers_that_never_connect_are_all_released() -> None:
    before = held()
    offer = parse_offer(CHROMIUM)
    ended: list[str] = []

    async def one() -> None:
        peer = await Peer.answering(offer, config(connect_s=0.3), lambda p, t: None, lambda m: None, lambda: None)
        ended.append(await peer.run())

    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(one())
    assert ended == ["never connected"] * 500
    assert held() == before


async def test_a_message_larger_than_the_bound_ends_the_call() -> None:
    async with call() as running:
        assert running.channel is not None and running.client.sctp is not None
        running.client.sctp._remote_max_message_size = 0  # a client that does not heed what we say
        running.channel.send("x" * (256 * 1024))
        await until(lambda: len(running.messages) == 1)
        running.channel.send("x" * (256 * 1024 + 1))
        async with asyncio.timeout(10):
            assert await running.running == "sent a message of more than 256 KiB"
        assert len(running.messages) == 1


def _chunk(number: int, flags: int, stream: int, body: bytes, protocol: int = 51) -> DataChunk:
    """Data of which `number` says how far it is beyond what was sent; `flags` 7: a whole message, in no order."""
    chunk = DataChunk(flags=flags)
    chunk.tsn, chunk.stream_id, chunk.stream_seq = number, stream, 0
    chunk.protocol, chunk.user_data = protocol, body
    return chunk


OPEN = struct.pack("!BBHLHH", 3, 0, 0, 0, 1, 0) + b"x"
BROKEN: dict[str, Callable[[int], DataChunk]] = {
    "a message without end": lambda number: _chunk(number, 2 if number == 0 else 0, 0, b"x"),
    "gaps without end": lambda number: _chunk(2 * number + 1, 7, 0, b"x"),
    "streams without end": lambda number: _chunk(number, 7, number, b"x"),
    "text that is none": lambda number: _chunk(number, 7, 0, b"\xff\xfe"),
    "a channel opened twice": lambda number: _chunk(number, 7, 3, OPEN, 50),
    "a channel named in no letters": lambda number: _chunk(number, 7, 3, OPEN[:-1] + b"\xff", 50),
    "an answer to nothing": lambda number: _chunk(number, 7, 5, b"\x02", 50),
}


@pytest.mark.parametrize("attack", sorted(BROKEN))
async def test_a_client_that_breaks_the_channels_protocol_is_let_go(attack: str) -> None:
    async with call(audio=False) as running:
        sctp = running.client.sctp
        assert sctp is not None
        began = sctp._local_tsn
        with contextlib.suppress(ConnectionError):  # the peer has gone, or its answers have broken aiortc
            for number in range(3000):
                chunk = BROKEN[attack](number)
                chunk.tsn = (began + chunk.tsn) % 2**32
                await sctp._send_chunk(chunk)
                await asyncio.sleep(0)  # the loop reads a datagram a round
        async with asyncio.timeout(5):
            assert await running.running == "broke the data channel's protocol"


async def test_a_malformed_packet_of_the_channels_protocol_ends_the_call() -> None:
    async with call(audio=False) as running:
        await running.dtls._send_data(b"garbage")  # no checksum: dropped, as any damaged packet
        bare = struct.pack("!HHLL", 5000, 5000, 0, 0) + b"\x01\x00\x00\x06\x00\x00\x00\x00"  # an INIT cut short
        await running.dtls._send_data(bare[:8] + struct.pack("<L", crc32c(bare)) + bare[12:])
        async with asyncio.timeout(5):
            assert await running.running == "broke the data channel's protocol"


async def test_an_abort_of_the_channel_ends_the_call() -> None:
    async with call() as running:
        assert running.client.sctp is not None
        await running.client.sctp._send_chunk(AbortChunk())
        async with asyncio.timeout(3):
            assert await running.running == "closed by the peer"


async def test_a_client_that_acknowledges_nothing_is_given_up() -> None:
    relay = await Relay.open()
    async with call(relay=relay) as running:
        relay.black_hole = True
        for _ in range(20):
            running.peer.send_message("x" * 100_000)
        async with asyncio.timeout(5):
            assert await running.running == "takes no messages"
    relay.close()


async def test_checks_from_more_and_more_addresses_are_not_answered_with_ours() -> None:
    async with call() as running:
        ice = running.peer._connection._ice
        check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        check.attributes.update(USERNAME=f"{ice.local_username}:{ice.remote_username}", PRIORITY=1)
        check.attributes["ICE-CONTROLLING"] = 1
        check.add_message_integrity(ice.local_password.encode())
        strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
        for stranger in strangers:
            stranger.bind(("127.0.0.1", 0))
            stranger.sendto(bytes(check), port_of(running.peer))
            await asyncio.sleep(0)
        await still_speaks(running)
        assert len(ice._check_list) <= 64
        for stranger in strangers:
            stranger.close()


async def test_records_thrown_at_a_handshake_are_taken_up_to_a_bound() -> None:
    async with call() as running:
        ice = running.peer._connection._ice
        taken = 0

        def take(data: bytes, component: int) -> None:
            nonlocal taken
            taken += 1

        (known, *_), record = ice._checked, b"\x16\xfe\xfd" + bytes(40)
        honest = ice.data_received
        ice.data_received, ice.secured = take, False  # as if the handshake had not come to its end
        for _ in range(1000):
            ice.datagram_arrived(record, known)
        assert 200 < taken <= 256
        ice.data_received, ice.secured = honest, True
        await still_speaks(running)
