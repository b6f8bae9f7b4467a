"""Scope: what strangers send to set up a call, and on it: offers, forms, settings, RTP, RTCP and the audio inside."""

from __future__ import annotations

import re
import struct
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request

from codec_stream.incoming import IncomingAudio
from codec_stream.opus import OpusDecoder, OpusEncoder
from codec_stream.opus_toc import packet_ticks
from codec_stream.packets import RTP_CLOCKS, AudioPacket, payload_ticks
from protocol.errors import Refused
from protocol.objects import SessionConfig
from realtime.http.replies import decoded, reply_to
from realtime.http.routes.client_secrets import _NewSecret, _NewTranslationSecret
from realtime.rtc.media import Media
from realtime.rtc.rtcp import (
    ReportBlock,
    goodbye,
    parse_rtcp,
    receiver_report,
    sender_report,
    source_description,
)
from realtime.rtc.rtp import parse_rtp
from realtime.rtc.sdp import MAX_SECTIONS, Audio, BadOffer, Fingerprint, Local, parse_offer, write_answer
from realtime.session.settings import Settings
from realtime.transports.webrtc.routes import _initial, _offer, _parts
from tests.fuzz.mutation import Choices, as_json, damaged, mutated
from tests.rtc.offers import REAL
from tests.session.harness import runtime

_T = TypeVar("_T")

_MAX_ERROR_BYTES = 10_000
_RATE_HZ = 24000

# --- offers ---

_OFFERS = sorted(REAL.values())
_LOCAL = Local(
    session_id=1,
    ice_ufrag="ours",
    ice_pwd="ours-of-twenty-two-letters",
    fingerprints=(Fingerprint("sha-256", "AB:CD"),),
    candidates=("1 1 udp 2130706431 192.0.2.1 40000 typ host",),
    host="192.0.2.1",
    port=40000,
    ssrc=7,
    cname="voice",
)
_TOKENS = ["", "0", "-1", "9" * 30, "١", "\x00", "\u2028", "\r", "x" * 300, "recvonly", "audio", "%s", "é", "\ud800"]
_LINES = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=video 0 x y",
    "a=candidate:1 1 udp 1 ff02::1%eth0 9 typ host",
    "a=candidate:1 1 udp 1 192.0.2.9 65536 typ host",
    "a=group:BUNDLE",
    "a=mid:",
    "a=setup:holdconn",
    "a=rtpmap:111 opus/48000/2",
    "a=extmap:15 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a",
    "=",
]
_ANSWER_LINE = re.compile(r"[a-z]=[\x20-\x7e]+")


def offer(choices: Choices) -> str:
    """A browser's offer, with up to three of its lines changed."""
    lines = choices.pick(_OFFERS).split("\r\n")
    for _ in range(choices.below(4)):
        at, how = choices.below(len(lines)), choices.below(6)
        if how == 0:
            del lines[at]
        elif how == 1:
            lines.insert(at, choices.pick(lines))
        elif how == 2:
            lines.insert(at, choices.pick(_LINES))
        elif how == 3:
            lines[at] = lines[at][: choices.below(len(lines[at]) + 1)]
        elif how == 4:
            lines[at : at + 1] = [lines[at]] * 30
        else:
            words = lines[at].split(" ")
            words[choices.below(len(words))] = choices.pick([*_TOKENS, choices.text(6)])
            lines[at] = " ".join(words)
        lines = lines or [""]
    text = choices.pick(["\r\n", "\r\n", "\r\n", "\n"]).join(lines).encode("utf-8", "surrogatepass")
    return damaged(text, choices).decode("utf-8", "surrogateescape")


def answer_offer(text: str) -> None:
    """An offer is answered line by line, or refused with one sentence."""
    try:
        asked = parse_offer(text)
    except BadOffer as bad:
        assert str(bad).endswith(".")
        assert len(str(bad)) < 400
        raise
    assert 1 <= len(asked.sections) <= MAX_SECTIONS
    lines = write_answer(asked, _LOCAL).removesuffix("\r\n").split("\r\n")
    assert all(_ANSWER_LINE.fullmatch(line) for line in lines)
    assert sum(line.startswith("m=") for line in lines) == len(asked.sections)


# --- the endpoint ---

_SESSIONS: list[dict[str, Any]] = [
    {},
    {"type": "realtime", "model": "gpt-realtime", "instructions": "Rain.", "audio": {"output": {"voice": "amy"}}},
    {
        "type": "realtime",
        "audio": {
            "input": {
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 300},
                "format": {"type": "audio/pcm", "rate": 24000},
            },
            "output": {"voice": {"id": "bob"}, "speed": 1.25, "format": {"type": "audio/pcmu"}},
        },
        "output_modalities": ["audio"],
        "max_output_tokens": 200,
        "voiced": {"temperature": 0.7, "seed": 3, "speakers": {"SPEAKER0": "amy"}},
    },
]
_RUNTIME = runtime(hears="script")
_BOUNDARY = "--x-of-the-form"


def form(choices: Choices) -> tuple[str, bytes]:
    """The content type and the body of a request for a call."""
    sdp = offer(choices).encode("utf-8", "surrogateescape")
    session = as_json(mutated(choices.pick(_SESSIONS), choices))
    if choices.below(6) == 5:
        return choices.pick(["application/sdp", "Application/SDP; charset=utf-8", "text/plain", ""]), sdp
    parts = [(b'form-data; name="sdp"', sdp), (b'form-data; name="session"', session)]
    for _ in range(choices.below(3)):
        name = choices.pick([b"sdp", b"session", b"x", b"", b'"', b"\xff"])
        extra = choices.pick([b"", b'; filename="a"', b"; filename*=utf-8''%ff", b"; filename="])
        parts.insert(choices.below(len(parts) + 1), (b'form-data; name="' + name + b'"' + extra, choices.bytes(8)))
        if choices.below(2):
            del parts[choices.below(len(parts))]
    line = b"--" + _BOUNDARY.encode()
    body = b"".join(line + b"\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % part for part in parts) + line + b"--\r\n"
    kinds = [f"multipart/form-data; boundary={_BOUNDARY}"] * 9 + [
        "multipart/form-data",
        "multipart/form-data; boundary=",
    ]
    return choices.pick(kinds), damaged(body, choices)


def take_form(case: tuple[str, bytes]) -> None:
    """From the request to the offer and the settings, without a network: all of the body is there."""
    kind, body = case

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    head = {
        "type": "http",
        "method": "POST",
        "app": None,
        "headers": [(b"content-type", kind.encode("latin-1"))],
    }
    try:
        sdp, session = _now(_parts(Request(head, receive)))
        _offer(sdp)
        for settings in _initial(session, (), _RUNTIME):
            Settings().updated(settings, _RUNTIME, "session")
    except Refused as refusal:
        _check_refusal(refusal)
        raise
    except HTTPException as error:
        assert error.status_code == 400
        raise


def _now(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of what never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    coroutine.close()
    raise AssertionError("it waits for something")


def secret(choices: Choices) -> bytes:
    """The body of a request for a client secret, of either kind."""
    body = {
        "expires_after": choices.pick([{"anchor": "created_at", "seconds": 600}, {"seconds": 10}, None]),
        "session": choices.pick([*_SESSIONS, {"type": "translation", "audio": {"output": {"language": "de"}}}]),
    }
    return damaged(as_json(mutated(body, choices)), choices)


def mint(body: bytes) -> None:
    """What is minted can be used: the settings it keeps are read again as they were."""
    try:
        try:
            asked = decoded(body, _NewSecret)
        except Refused:
            setup = decoded(body, _NewTranslationSecret).session
            assert msgspec.json.decode(msgspec.json.encode(setup), type=type(setup)) == setup
            return
        assert msgspec.json.decode(msgspec.json.encode(asked.session), type=SessionConfig) == asked.session
        Settings().updated(asked.session, _RUNTIME, "session")
    except Refused as refusal:
        _check_refusal(refusal)
        raise


def _check_refusal(refusal: Refused) -> None:
    """One sentence of a bounded size, and whose fault it is."""
    assert 400 <= reply_to(refusal).status_code < 500
    assert str(refusal).endswith((".", "?"))
    assert len(reply_to(refusal).body) < _MAX_ERROR_BYTES


# --- packets ---

_AUDIO = Audio("0", {111: "opus", 0: "PCMU", 8: "PCMA", 9: "G722"}, "sendrecv", 4)
_OUR_SSRC = 7
_BLOCKS = [ReportBlock(_OUR_SSRC, 0.25, -3, 70000, 480, 0x12345678, 65536), ReportBlock(9, 1.0, 2**23, 0, 2**31, 0, 0)]
_COMPOUNDS = [
    sender_report(9, 2**63, 1000, 50, 5000, _BLOCKS) + source_description(9, "cname"),
    receiver_report(9, _BLOCKS[:1]),
    receiver_report(9, []) + goodbye(9),
]


def datagrams(choices: Choices) -> list[tuple[float, bytes]]:
    """When they come, RTP and RTCP of up to two sources."""
    made, now, sequence = [], 0.0, choices.pick([0, 65534, 30000])
    for _ in range(1 + choices.below(6)):
        now += choices.pick([0.02, 0.0, 0.5, 100.0])
        if choices.below(3) == 2:
            made.append((now, damaged(choices.pick(_COMPOUNDS), choices)))
            continue
        sequence = (sequence + choices.pick([1, 1, 1, 0, 2, 5000, 65535])) & 0xFFFF
        flags = 0x80 | choices.pick([0, 0x20, 0x10, 0x03, 0x3F])
        head = struct.pack(
            "!BBHLL", flags, choices.pick([111, 0, 239, 13]), sequence, 960 * sequence, 9 + choices.below(2)
        )
        made.append(
            (now, damaged(head + choices.bytes(12) + choices.pick([b"", b"\x01", b"\xbe\xde\x00\x01"]), choices))
        )
    return made


def take_datagrams(made: list[tuple[float, bytes]]) -> None:
    """Packets are read or passed over; the reports on them are whole and can be read."""
    media = Media(_AUDIO, 0.0)
    media.stream.ssrc = _OUR_SSRC
    for now, data in made:
        packet = parse_rtp(data)
        if packet is not None:
            assert 0 <= packet.payload_type < 128
            assert packet.payload in data
        media.rtp_arrived(data, now)
        media.rtcp_arrived(data, now)
        assert media.rtt_s is None or 0 <= media.rtt_s < 2**15
        assert media.lost_fraction is None or 0 <= media.lost_fraction <= 1
        read = parse_rtcp(media.report(now))
        assert len({block.ssrc for block in read.blocks}) == len(read.blocks) <= 4
        assert all(0 <= block.lost_fraction <= 1 for block in read.blocks)


def _opus_packets() -> list[bytes]:
    tone = np.round(8000 * np.sin(np.arange(480 * 6) / 11.0)).astype("<i2").tobytes()
    encoder = OpusEncoder()
    return [encoder.encode(tone[960 * at : 960 * (at + 1)]) for at in range(6)]


_OPUS = _opus_packets()
_CODES = [b"", b"\x00", b"\x03", b"\x03\x00", b"\xff\x3f", b"\xfb\x46\xff\xff\x00", b"\x02\xfc", b"\x0b\x81\x01"]


def _payload(choices: Choices) -> bytes:
    if choices.below(4) == 3:
        return choices.pick(_CODES) + choices.bytes(8) * choices.pick([1, 1, 20, 200])
    return damaged(choices.pick(_OPUS), choices)


def opus_payloads(choices: Choices) -> list[bytes]:
    return [_payload(choices) for _ in range(1 + choices.below(4))]


def decode_opus(payloads: list[bytes]) -> None:
    """A packet gives as much audio as it says; one that is refused changes nothing."""
    decoder, clean, refused = OpusDecoder(), OpusDecoder(), None
    for payload in payloads:
        try:
            pcm16 = decoder.decode(payload)
        except ValueError as error:
            refused = error
            continue
        assert len(pcm16) == packet_ticks(payload)  # 2 bytes for every 2 ticks
        assert clean.decode(payload) == pcm16
        repeated = decoder.repeats_previous(payload)
        assert isinstance(repeated, bool)
        assert len(decoder.recover(payload, 480)) == len(clean.recover(payload, 480)) == 960
    assert decoder.decode(_OPUS[0]) == clean.decode(_OPUS[0])
    if refused is not None:
        raise refused


_ENCODINGS = {111: "opus", 0: "PCMU", 8: "PCMA", 9: "G722"}
_TYPES = [111, 111, 111, 111, 111, 0, 8, 9, 13, 126]


def arrivals(choices: Choices) -> list[tuple[float, AudioPacket]]:
    """Packets and when they come: mostly one stream in order, with everything that networks and senders do to it."""
    made, now, ssrc = [], 5.0, 7
    sequence, timestamp, kind = choices.pick([0, 65533]), choices.pick([0, 2**32 - 2000]), choices.pick(_TYPES)
    for _ in range(2 + choices.below(14)):
        now += choices.pick([0.02, 0.02, 0.02, 0.0, 0.15, 0.3, 3.0])
        sequence = (sequence + choices.pick([1, 1, 1, 1, 2, 0, 3, 65535, 65530, 5000])) & 0xFFFF
        timestamp = (timestamp + choices.pick([960, 960, 960, 160, 0, 9600, 48000 * 60, 2**31])) & 0xFFFFFFFF
        if choices.below(8) == 7:
            kind, ssrc = choices.pick(_TYPES), choices.pick([7, 8])
        payload = _payload(choices) if choices.below(2) == 0 else choices.pick(_OPUS)
        made.append((now, AudioPacket(kind, sequence, timestamp, payload, ssrc)))
    return made


def hear(made: list[tuple[float, AudioPacket]]) -> None:
    """Nothing raises, and what is heard is no longer than the packets and the time since the first of them."""
    audio = IncomingAudio(_ENCODINGS)
    samples, in_packets, began = 0, 0.0, 0.0
    for now, packet in made:
        samples += _whole_samples(audio.push(packet, now))
        began = began or now
        in_packets += _seconds(packet)
        assert audio.due_at is None or audio.due_at > now - 1.0
    for _ in range(40):
        due_at = audio.due_at
        if due_at is None:
            break
        samples += _whole_samples(audio.poll(due_at))
        now = due_at
        assert audio.due_at is None or audio.due_at > due_at
    assert samples <= (now - began + in_packets) * _RATE_HZ + 1
    stats = audio.stats
    assert stats.received == len(made)
    counts = (stats.lost, stats.concealed, stats.recovered, stats.late, stats.undecodable, stats.excess, stats.ignored)
    assert min(counts) >= 0


def _whole_samples(pcm16: bytes) -> int:
    assert len(pcm16) % 2 == 0
    return len(pcm16) // 2


def _seconds(packet: AudioPacket) -> float:
    """How long its audio is; 0 for what holds none."""
    encoding = _ENCODINGS.get(packet.payload_type)
    if encoding is None:
        return 0.0
    try:
        return payload_ticks(encoding, packet.payload) / RTP_CLOCKS[encoding]
    except ValueError:
        return 0.0
