"""Scope: a call between the peer and aiortc as an unmodified client: audio and text both ways, the ways it ends, and
that nothing is left of it."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest
from aioice import stun

from realtime.rtc.peer import MAX_PAYLOAD_BYTES, Peer, PeerConfig
from realtime.rtc.sdp import parse_offer
from tests.rtc.calls import LOOPBACK, PacketTrack, call, config, held, opus_tone, until
from tests.rtc.relay import Relay

SILENCE = b"\xf8\xff\xfe"


async def test_a_clients_opus_arrives_unchanged_with_its_timestamps() -> None:
    sent = list(opus_tone(25))
    async with call(PacketTrack(iter(sent))) as running:
        await until(lambda: len(running.packets) == 25)
        assert [packet.payload for packet in running.packets] == sent
        first = running.packets[0]
        assert running.peer.incoming[first.payload_type] == "opus"
        for index, packet in enumerate(running.packets):
            assert packet.timestamp == (first.timestamp + 960 * index) % 2**32
            assert packet.sequence == (first.sequence + index) % 2**16
            assert packet.ssrc == first.ssrc
        assert running.arrivals == sorted(running.arrivals)
        assert running.peer.stats.packets_received == 25


async def test_what_we_send_is_heard_by_the_client() -> None:
    async with call() as running:
        assert running.peer.encoding == "opus"
        sent = list(opus_tone(30))
        track = running.client.getReceivers()[0].track
        for payload in sent:
            running.peer.send_audio(payload, 960)
            await asyncio.sleep(0.01)
        await until(lambda: len(running.client_packets) == 30)
        got = running.client_packets
        assert [packet.payload for packet in got] == sent
        assert {packet.timestamp for packet in got} == {(got[0].timestamp + 960 * k) % 2**32 for k in range(30)}
        assert {packet.extensions.mid for packet in got} == {"0"}
        async with asyncio.timeout(5):
            frame = await track.recv()
        assert frame.sample_rate == 48000


async def test_skipped_time_moves_the_timestamp_and_no_sequence_number() -> None:
    async with call() as running:
        running.peer.send_audio(SILENCE, 960)
        running.peer.skip(48000)
        running.peer.send_audio(SILENCE, 960)
        await until(lambda: len(running.client_packets) == 2)
        first, second = running.client_packets
        assert (second.timestamp - first.timestamp) % 2**32 == 48960
        assert (second.sequence_number - first.sequence_number) % 2**16 == 1


async def test_a_full_socket_loses_the_packet_and_queues_nothing() -> None:
    async with call() as running:
        pair = running.peer._connection._ice._nominated[1]
        full = [True]
        waiting = pair.protocol.transport.get_write_buffer_size
        pair.protocol.transport.get_write_buffer_size = lambda: 1 if full[0] else waiting()
        for _ in range(10):
            running.peer.send_audio(SILENCE, 960)
        full[0] = False
        running.peer.send_audio(SILENCE, 960)
        await until(lambda: len(running.client_packets) > 0)
        await asyncio.sleep(0.05)
        assert len(running.client_packets) == 1
        assert running.peer.stats.packets_sent == 11  # the listener is to see the gap


async def test_texts_pass_both_ways_in_order() -> None:
    async with call(on_message=lambda running, text: running.peer.send_message(f"heard {text}")) as running:
        texts = ["", "ü", *(str(number) * 5000 for number in range(20))]
        assert running.channel is not None
        for text in texts:
            running.channel.send(text)
        await until(lambda: len(running.client_messages) == len(texts))
        assert running.messages == texts
        assert running.client_messages == [f"heard {text}" for text in texts]
        await until(lambda: running.peer.messages_bytes_waiting == 0)


@pytest.mark.parametrize(("codec", "ticks"), [("PCMU", 160), ("PCMA", 160), ("G722", 160)])
async def test_a_telephone_codec_is_spoken_where_it_is_the_only_one(codec: str, ticks: int) -> None:
    payloads = [bytes([number]) * 160 for number in range(5)]
    async with call(PacketTrack(iter(payloads), ticks, 8000), codecs=(codec,)) as running:
        assert running.peer.encoding == codec
        assert list(running.peer.incoming.values()) == [codec]
        await until(lambda: len(running.packets) == 5)
        assert [packet.payload for packet in running.packets] == payloads
        running.peer.send_audio(payloads[1], ticks)
        await until(lambda: len(running.client_packets) == 1)
        assert running.client_packets[0].payload == payloads[1]


async def test_the_clients_first_codec_is_the_one_we_send() -> None:
    async with call(codecs=("PCMA", "opus")) as running:
        assert running.peer.encoding == "PCMA"
        assert set(running.peer.incoming.values()) == {"PCMA", "opus"}


async def test_a_client_that_only_listens_is_not_heard_and_one_that_only_speaks_gets_nothing() -> None:
    async with call(direction="recvonly") as running:
        assert (running.peer.encoding, dict(running.peer.incoming)) == ("opus", {})
    async with call(PacketTrack(opus_tone(3)), direction="sendonly") as running:
        assert running.peer.encoding == ""
        running.peer.send_audio(SILENCE, 960)
        await until(lambda: len(running.packets) == 3)
        assert running.peer.stats.packets_sent == 0


async def test_a_call_may_have_a_channel_only_or_audio_only() -> None:
    async with call(audio=False, on_message=lambda running, text: running.peer.send_message(text)) as running:
        assert running.channel is not None
        running.channel.send("one")
        await until(lambda: running.client_messages == ["one"])
        running.peer.send_audio(SILENCE, 960)  # no audio was agreed on: nothing to do
        assert running.peer.stats.packets_sent == 0
    async with call(PacketTrack(opus_tone(3)), channel=None) as running:
        await until(lambda: len(running.packets) == 3)
        running.peer.send_message("to nobody")
        assert running.peer.messages_bytes_waiting == 0


async def test_another_channel_than_the_one_for_events_is_closed() -> None:
    async with call() as running:
        other = running.client.createDataChannel("chat")
        closed = asyncio.Event()
        other.on("close", closed.set)
        async with asyncio.timeout(5):
            await closed.wait()
        assert running.channel is not None
        running.channel.send("still here")
        await until(lambda: running.messages == ["still here"])


async def test_bytes_on_the_channel_are_ignored() -> None:
    async with call() as running:
        assert running.channel is not None
        running.channel.send(b"\x00\x01")
        running.channel.send("text")
        await until(lambda: running.messages == ["text"])


async def test_the_peer_reports_round_trip_and_loss() -> None:
    async with call(PacketTrack(opus_tone(200))) as running:
        before = running.peer.stats
        assert before.lost_fraction is None

        async def speak() -> None:
            while True:
                running.peer.send_audio(SILENCE, 960)
                await asyncio.sleep(0.02)

        speaking = asyncio.create_task(speak())
        try:
            await until(lambda: None not in (running.peer.stats.rtt_s, running.peer.stats.lost_fraction))
        finally:
            speaking.cancel()
        stats = running.peer.stats
        assert stats.rtt_s is not None and 0 <= stats.rtt_s < 1
        assert stats.lost_fraction == 0
        assert running.peer.candidate_types == ("host", "host")
        theirs = await running.client.getStats()
        kinds = {report.type for report in theirs.values()}
        assert {"remote-inbound-rtp", "remote-outbound-rtp"} <= kinds  # it understood our reports


async def test_a_client_that_closes_ends_the_call() -> None:
    async with call() as running:
        await running.client.close()
        async with asyncio.timeout(2):
            assert await running.running == "closed by the peer"
        assert not running.peer.connected


async def test_a_client_that_closes_an_audio_only_call_ends_it() -> None:
    async with call(channel=None) as running:
        await running.client.close()
        async with asyncio.timeout(2):
            assert await running.running == "closed by the peer"


async def test_our_close_delivers_what_was_said_before_and_tells_the_client() -> None:
    async with call() as running:
        assert running.channel is not None
        closed = asyncio.Event()
        running.channel.on("close", closed.set)
        for number in range(20):
            running.peer.send_message(f"{number} " + "x" * 3000)
        running.peer.close()
        async with asyncio.timeout(3):
            assert await running.running == "closed here"
            await closed.wait()
        assert [str(message).split()[0] for message in running.client_messages] == [str(n) for n in range(20)]
        running.peer.send_audio(SILENCE, 960)
        running.peer.send_message("too late")
        running.peer.close()


async def test_a_client_that_vanishes_is_noticed_by_its_silence() -> None:
    async with call(PacketTrack(opus_tone(500)), settings=config(silence_s=0.5)) as running:
        await until(lambda: len(running.packets) > 3)
        loop = asyncio.get_running_loop()
        assert running.peer.silent_s(loop.time()) < 0.4
        running.vanish()
        async with asyncio.timeout(5):
            assert await running.running == "silent for 0.5 s"


async def test_a_client_that_only_answers_checks_is_not_silent() -> None:
    async with call(settings=config(silence_s=7.5)) as running:
        await asyncio.sleep(8)  # no audio, no message: checks of consent come every 4 to 6 s
        assert not running.running.done()
        assert running.peer.stats.rtt_s is not None


async def test_an_offer_that_never_connects_ends_at_its_deadline() -> None:
    relay = await Relay.open()
    relay.black_hole = True
    async with call(settings=config(connect_s=0.3), relay=relay, opens=False) as running:
        async with asyncio.timeout(3):
            assert await running.running == "never connected"
    relay.close()


async def test_a_client_that_opens_no_channel_for_events_never_connects() -> None:
    async with call(channel="chat", settings=config(connect_s=1.0), opens=False) as running:
        async with asyncio.timeout(5):
            assert await running.running == "never connected"


async def test_a_cancelled_run_releases_everything() -> None:
    async with call() as running:
        running.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running.running
        assert not running.peer.connected
        running.running = asyncio.create_task(asyncio.sleep(0, "released"))


async def test_a_peer_closed_before_it_runs_is_released_by_run() -> None:
    async with call() as running:
        offer = running.client.localDescription.sdp
    before = held()
    peer = await Peer.answering(parse_offer(offer), config(), lambda p, t: None, lambda m: None, lambda: None)
    assert held()[1] == before[1] + 1
    peer.close()
    assert await peer.run() == "closed here"
    assert held() == before


async def test_the_addresses_given_are_the_only_ones_offered() -> None:
    async with call() as running:
        found = re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ (\w+)", running.peer.answer)
        assert [(host, kind) for host, _, kind in found] == [("127.0.0.1", "host")]


async def test_each_address_given_is_offered_and_a_call_stands_on_any() -> None:
    settings = PeerConfig(addresses=("127.0.0.2", "127.0.0.3"))
    async with call(PacketTrack(opus_tone(3)), settings=settings) as running:
        assert re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+)", running.peer.answer) == ["127.0.0.2", "127.0.0.3"]
        await until(lambda: len(running.packets) == 3)


async def test_only_callers_on_this_machine_count_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PeerConfig(only_here=True)
    async with call(PacketTrack(opus_tone(3)), settings=settings) as running:
        ice = running.peer._connection._ice
        assert ice.addresses[0] == "127.0.0.1"
        await until(lambda: len(running.packets) == 3)
        arrived: list[bytes] = []
        monkeypatch.setattr(ice, "datagram_arrived", lambda data, source: arrived.append(data))
        ice._protocols[0].datagram_received(b"\x80from elsewhere", ("192.0.2.200", 4000))
        assert arrived == []
        ice._protocols[0].datagram_received(b"\x80from here", ("127.0.0.1", 4000))
        assert arrived == [b"\x80from here"]


async def test_how_a_stun_server_sees_us_is_offered_too() -> None:
    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            asked = stun.parse_message(data)
            told = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
            told.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.9", 4242)
            self.transport.sendto(bytes(told), addr)

    async with call() as running:
        offer = parse_offer(running.client.localDescription.sdp)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    url = f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    threads = threading.active_count()
    peer = await Peer.answering(offer, PeerConfig(LOOPBACK, stun=url), lambda p, t: None, lambda m: None, lambda: None)
    assert re.findall(r"a=candidate:\S+ 1 udp \d+ (203\S+ \d+ typ \S+ raddr \S+)", peer.answer) == [
        "203.0.113.9 4242 typ srflx raddr 127.0.0.1"
    ]
    assert threading.active_count() == threads  # no name to look up
    peer.close()
    await peer.run()
    transport.close()


async def test_an_address_that_is_not_ours_is_refused() -> None:
    async with call() as running:
        offer = parse_offer(running.client.localDescription.sdp)
    settings = PeerConfig(addresses=("192.0.2.1",))
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        await Peer.answering(offer, settings, lambda p, t: None, lambda m: None, lambda: None)


async def test_a_silent_stun_server_delays_the_answer_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.rtc.ice._SERVER_S", 0.2)
    async with call() as running:
        offer = parse_offer(running.client.localDescription.sdp)
    settings = PeerConfig(
        LOOPBACK, False, "stun:127.0.0.1:9", "turn:127.0.0.1:9?transport=udp", "name", "word", connect_s=0.1
    )
    peer = await Peer.answering(offer, settings, lambda p, t: None, lambda m: None, lambda: None)
    assert peer.answer.count("a=candidate") == 1
    assert await peer.run() == "never connected"


async def test_a_payload_or_message_too_large_is_our_own_error() -> None:
    async with call() as running:
        with pytest.raises(ValueError, match="1301"):
            running.peer.send_audio(bytes(MAX_PAYLOAD_BYTES + 1), 960)
        with pytest.raises(ValueError, match="262145"):
            running.peer.send_message("x" * (256 * 1024 + 1))
        running.peer.send_message("x" * (256 * 1024))
        await until(lambda: len(running.client_messages) == 1)


async def test_an_owner_that_fails_ends_its_own_call(caplog: pytest.LogCaptureFixture) -> None:
    def fail(running: object, text: str) -> None:
        raise RuntimeError("a bug")

    async with call(on_message=fail) as running:
        assert running.channel is not None
        running.channel.send("go")
        async with asyncio.timeout(3):
            assert await running.running == "failed here"
    assert "a bug" in caplog.text


@pytest.mark.parametrize(("loss", "seed"), [(0.0, 1), (0.05, 2), (0.2, 3)])
async def test_a_call_stands_on_a_bad_network(loss: float, seed: int) -> None:
    relay = await Relay.open(loss=loss, delay_s=0.03, jitter_s=0.02, seed=seed)
    async with call(
        PacketTrack(opus_tone(100)),
        relay=relay,
        settings=config(connect_s=25, silence_s=15),
        on_message=lambda running, text: running.peer.send_message(text),
    ) as running:
        assert running.channel is not None
        for number in range(10):
            running.channel.send(f"{number}")
        await until(lambda: len(running.client_messages) == 10, 60)  # lost ones are sent again
        assert running.client_messages == [str(number) for number in range(10)]
        await until(lambda: len(running.packets) >= 100 * (1 - loss) * 0.8)
        assert len(running.packets) <= 100
    assert relay.passed > 0 and (relay.dropped > 0) == (loss > 0)
    relay.close()


async def test_a_network_that_goes_dark_ends_the_call_on_our_side() -> None:
    relay = await Relay.open()
    async with call(PacketTrack(opus_tone(300)), relay=relay, settings=config(silence_s=0.5)) as running:
        await until(lambda: len(running.packets) > 3)
        assert running.peer.candidate_types == ("host", "prflx")
        relay.black_hole = True
        async with asyncio.timeout(5):
            assert await running.running == "silent for 0.5 s"
    relay.close()


async def test_a_hundred_calls_leave_nothing() -> None:
    async with call(direction="recvonly"):
        pass
    before, threads = held(), threading.active_count()
    for _ in range(100):
        async with call(direction="recvonly") as running:
            running.peer.send_audio(SILENCE, 960)
    await until(lambda: held() == before)
    assert threading.active_count() <= threads
