"""Scope: RTP and RTCP as bytes: what we write is what aiortc reads, what it writes is what we read, garbage is nothing;
and the numbers of a receiver report."""

from __future__ import annotations

import pytest
from aiortc import rtp as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_stream.incoming import IncomingAudio
from realtime.rtc.media import Media
from realtime.rtc.reception import Reception
from realtime.rtc.rtcp import ReportBlock, goodbye, parse_rtcp, receiver_report, sender_report, source_description
from realtime.rtc.rtp import OutgoingStream, parse_rtp
from realtime.rtc.sdp import Audio

AUDIO = Audio("0", {111: "opus", 0: "PCMU"}, "sendrecv", 4)
BLOCK = ReportBlock(7, 0.25, -3, 70000, 480, 0x12345678, 65536)


@given(
    st.integers(0, 127),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=1275),
    st.lists(st.integers(0, 2**32 - 1), max_size=15),
    st.integers(0, 255),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_packet_that_aiortc_writes_is_read(
    kind: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, csrc: list[int], padding: int, named: bool
) -> None:
    packet = theirs.RtpPacket(kind, 1, sequence, timestamp, ssrc, payload)
    packet.csrc, packet.padding_size = csrc, padding
    extensions = theirs.HeaderExtensionsMap()
    if named:
        extensions.configure(
            theirs.RTCRtpParameters(
                headerExtensions=[_extension(3, "urn:ietf:params:rtp-hdrext:sdes:mid")],
            )
        )
        packet.extensions.mid = "audio"
    read = parse_rtp(packet.serialize(extensions))
    assert read is not None
    assert (read.payload_type, read.sequence, read.timestamp, read.ssrc, read.payload) == (
        kind,
        sequence,
        timestamp,
        ssrc,
        payload,
    )


def _extension(number: int, uri: str):  # type: ignore[no-untyped-def]
    from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters

    return RTCRtpHeaderExtensionParameters(id=number, uri=uri)


@pytest.mark.parametrize("extension", [0, 4])
def test_what_we_write_is_what_aiortc_reads(extension: int) -> None:
    stream = OutgoingStream(111, "audio", extension)
    began = stream.timestamp
    extensions = theirs.HeaderExtensionsMap()
    extensions.configure(
        theirs.RTCRtpParameters(headerExtensions=[_extension(4, "urn:ietf:params:rtp-hdrext:sdes:mid")])
    )
    first = theirs.RtpPacket.parse(stream.packet(b"one", 960), extensions)
    stream.skip(4800)
    second = theirs.RtpPacket.parse(stream.packet(b"", 960), extensions)
    assert (first.payload, first.payload_type, first.ssrc) == (b"one", 111, stream.ssrc)
    assert second.payload == b""
    assert (first.timestamp, second.timestamp) == (began, (began + 5760) % 2**32)
    assert (second.sequence_number - first.sequence_number) % 2**16 == 1
    assert first.extensions.mid == ("audio" if extension else None)
    assert (stream.packets, stream.octets) == (2, 3)


def test_numbers_wrap() -> None:
    stream = OutgoingStream(0)
    numbers = []
    for _ in range(2**16 + 1):
        packet = parse_rtp(stream.packet(b"", 2**31))
        assert packet is not None
        numbers.append(packet.sequence)
    assert len(set(numbers[:-1])) == 2**16 and numbers[-1] == numbers[0]


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: b"\xbf\x6f" + tail))
@settings(max_examples=500, deadline=None)
def test_garbage_is_no_packet_and_no_report_and_raises_nothing(data: bytes) -> None:
    media = Media(AUDIO, 0.0)
    media.rtp_arrived(data, 1.0)
    media.rtcp_arrived(data, 1.0)
    media.rtcp_arrived(b"\x81\xc8" + data, 1.0)
    media.rtcp_arrived(b"\x9f\xcb" + data, 1.0)
    media.report(2.0)


def test_a_packet_of_another_payload_type_alone_is_none_of_ours() -> None:
    media = Media(AUDIO, 0.0)
    for kind in (13, 63, 110, 126, 127):
        assert media.rtp_arrived(OutgoingStream(kind).packet(b"x", 1), 1.0) is None
    assert media.rtp_arrived(OutgoingStream(111).packet(b"", 1), 1.0) is not None
    assert media.received == 1


def test_comfort_noise_and_events_between_the_audio_are_no_losses() -> None:
    media = Media(AUDIO, 0.0)
    ears = IncomingAudio(media.incoming)
    sender, heard = OutgoingStream(0), 0
    for number in range(100):
        audio = sender.packet(bytes(160), 160)
        other = bytes((0x80, 13 if number < 45 else 101)) + audio[2:12] + b"\x40"
        packet = media.rtp_arrived(other if 40 <= number < 50 else audio, 0.02 * number)
        assert packet is not None
        heard += len(ears.push(packet, 0.02 * number))
    (block,) = parse_rtcp(media.report(2.0)).blocks
    assert (block.lost, block.lost_fraction) == (0, 0.0)
    assert (ears.stats.ignored, ears.stats.lost, ears.stats.concealed) == (10, 0, 0)
    assert heard == 100 * 960


def test_packets_of_other_payload_types_make_no_source_and_push_none_out() -> None:
    media, player = Media(AUDIO, 0.0), OutgoingStream(111)
    media.rtp_arrived(player.packet(b"x", 960), 0.0)
    for _ in range(20):
        assert media.rtp_arrived(OutgoingStream(13).packet(b"x", 960), 0.0) is None
    assert [block.ssrc for block in parse_rtcp(media.report(1.0)).blocks] == [player.ssrc]


def test_sender_reports_are_read_by_aiortc_and_theirs_by_us() -> None:
    ours = sender_report(9, 0x0102030405060708, 1000, 50, 5000, [BLOCK]) + source_description(9, "cname") + goodbye(9)
    report, names, bye = theirs.RtcpPacket.parse(ours)
    assert isinstance(report, theirs.RtcpSrPacket) and isinstance(names, theirs.RtcpSdesPacket)
    assert (report.ssrc, report.sender_info.ntp_timestamp, report.sender_info.rtp_timestamp) == (
        9,
        0x0102030405060708,
        1000,
    )
    assert (report.sender_info.packet_count, report.sender_info.octet_count) == (50, 5000)
    assert report.reports[0] == theirs.RtcpReceiverInfo(7, 64, -3, 70000, 480, 0x12345678, 65536)
    assert names.chunks[0].items == [(1, b"cname")]
    assert bye == theirs.RtcpByePacket([9])

    back = parse_rtcp(bytes(report) + bytes(names) + bytes(bye))
    assert back.blocks == (BLOCK,)
    assert back.sender_reports == ((9, 0x03040506),)
    assert back.goodbyes == (9,)


def test_receiver_reports_are_read_by_aiortc_and_theirs_by_us() -> None:
    (report,) = theirs.RtcpPacket.parse(receiver_report(9, [BLOCK, BLOCK]))
    assert isinstance(report, theirs.RtcpRrPacket) and len(report.reports) == 2
    assert parse_rtcp(bytes(report)).blocks == (BLOCK, BLOCK)


def test_what_we_do_not_know_in_a_report_is_passed_over() -> None:
    remb = theirs.RtcpPsfbPacket(15, 1, 0, theirs.pack_remb_fci(100_000, [1]))
    assert parse_rtcp(bytes(remb) + receiver_report(1, [BLOCK])).blocks == (BLOCK,)
    assert parse_rtcp(receiver_report(1, [BLOCK]) + b"\x81\xc9\x00\xff").blocks == (BLOCK,)


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "abcde"])
def test_a_name_of_any_length_fills_whole_words(name: str) -> None:
    data = source_description(1, name)
    assert len(data) % 4 == 0 and data.endswith(b"\x00")
    (names,) = theirs.RtcpPacket.parse(data)
    assert isinstance(names, theirs.RtcpSdesPacket) and names.chunks[0].items == [(1, name.encode())]


def test_loss_counts_from_report_to_report() -> None:
    reception = Reception(1, 8000)
    for number in range(100):
        if number % 4:
            reception.arrived(number, number * 160, number * 0.02)
    first = reception.report(2.0)
    assert (first.lost, first.lost_fraction) == (24, pytest.approx(24 / 99))
    for number in range(100, 200):
        reception.arrived(number, number * 160, number * 0.02)
    second = reception.report(4.0)
    assert (second.lost, second.lost_fraction, second.highest_sequence) == (24, 0.0, 199)
    assert reception.report(5.0).lost_fraction == 0.0


def test_numbers_that_wrap_are_extended_and_late_ones_count_as_received() -> None:
    reception = Reception(1, 8000)
    for number in (65534, 65535, 1, 0, 2):
        reception.arrived(number, 0, 0.0)
    report = reception.report(0.0)
    assert (report.lost, report.highest_sequence) == (0, 65536 + 2)


def test_a_sender_that_begins_anew_is_believed_at_its_second_packet() -> None:
    reception = Reception(1, 8000)
    reception.arrived(10, 0, 0.0)
    reception.arrived(30000, 0, 0.0)
    assert reception.report(0.0).highest_sequence == 10
    reception.arrived(30001, 0, 0.0)
    report = reception.report(0.0)
    assert (report.lost, report.highest_sequence) == (0, 30001)


def test_jitter_is_that_of_the_standard_and_a_wrapping_timestamp_is_none() -> None:
    reception = Reception(1, 8000)
    for number in range(200):
        reception.arrived(number, (2**32 - 8000 + number * 160) % 2**32, number * 0.02)
    assert reception.report(4.0).jitter == 0
    for number in range(200, 600):
        reception.arrived(number, (2**32 - 8000 + number * 160) % 2**32, number * 0.02 + 0.01 * (number % 2))
    assert reception.report(12.0).jitter == pytest.approx(80, abs=2)  # each is 10 ms off the one before


def test_the_round_trip_is_what_lies_between_our_report_and_the_answer_to_it() -> None:
    ours, peer = Media(AUDIO, 1.7e9), Media(AUDIO, 0.0)
    peer.rtp_arrived(ours.packet(b"x", 960, 10.0), 100.0)
    peer.rtcp_arrived(ours.report(10.0), 100.0)
    assert (ours.rtt_s, ours.lost_fraction) == (None, None)
    ours.rtcp_arrived(peer.report(100.5), 10.58)  # half a second with the peer, 80 ms under way
    assert ours.rtt_s == pytest.approx(0.08, abs=0.001)
    assert ours.lost_fraction == 0.0


def test_the_timestamp_of_a_report_is_the_one_of_its_moment() -> None:
    media = Media(AUDIO, 0.0)
    began = media.stream.timestamp
    media.packet(b"x", 960, 10.0)
    (report, _) = theirs.RtcpPacket.parse(media.report(10.5))
    assert isinstance(report, theirs.RtcpSrPacket)
    assert report.sender_info.rtp_timestamp == (began + 24000) % 2**32


def test_sources_are_bounded_and_one_that_says_goodbye_is_forgotten() -> None:
    media = Media(AUDIO, 0.0)
    for _ in range(20):
        media.rtp_arrived(OutgoingStream(111).packet(b"x", 960), 1.0)
    blocks = parse_rtcp(media.report(1.0)).blocks
    assert len(blocks) == 4
    media.rtcp_arrived(goodbye(blocks[0].ssrc), 1.0)
    assert [block.ssrc for block in parse_rtcp(media.report(1.0)).blocks] == [block.ssrc for block in blocks[1:]]


def test_a_way_is_lossy_from_a_report_of_loss_until_none_tells_of_any_for_ten_seconds() -> None:
    ours, peer = Media(AUDIO, 0.0), Media(AUDIO, 0.0)
    lossy = []
    for second in range(30):
        for number in range(50):
            packet = ours.packet(b"x", 960, second + number / 50)
            if (second, number) != (14, 20):
                peer.rtp_arrived(packet, second + number / 50)
        ours.rtcp_arrived(peer.report(second + 1.0), second + 1.0)
        lossy.append(ours.lossy)
    assert lossy == [False] * 14 + [True] * 10 + [False] * 6
