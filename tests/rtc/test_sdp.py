"""Scope: offers as clients send them are understood and answered; anything else is refused in one sentence, whatever it
is, and in time linear in its size."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import aiortc.sdp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.rtc.candidates import parse_candidate, reachable
from realtime.rtc.sdp import BadOffer, Fingerprint, Local, Offer, parse_offer, write_answer
from tests.rtc.offers import CHROMIUM, FINGERPRINT, FIREFOX, REAL, SAFARI, section, with_candidates, without

LOCAL = Local(
    session_id=42,
    ice_ufrag="abcd",
    ice_pwd="0123456789abcdefghijkl",
    fingerprints=(Fingerprint("sha-256", FINGERPRINT),),
    candidates=("1 1 udp 2130706431 192.0.2.9 5004 typ host", "2 1 udp 1694498815 198.51.100.4 5004 typ srflx"),
    host="192.0.2.9",
    port=5004,
    ssrc=77,
    cname="us",
)


TraceFunction = Callable[[FrameType, str, Any], Any]


def answer(offer: str) -> str:
    return write_answer(parse_offer(offer), LOCAL)


def test_an_offer_of_chromium_is_understood() -> None:
    offer = parse_offer(CHROMIUM)
    assert offer.audio is not None and offer.data is not None
    assert dict(offer.audio.codecs) == {111: "opus", 9: "G722", 0: "PCMU", 8: "PCMA"}
    assert list(offer.audio.codecs) == [111, 9, 0, 8]
    assert (offer.audio.mid, offer.audio.direction, offer.audio.mid_extension) == ("0", "sendrecv", 4)
    assert (offer.data.port, offer.data.max_message_bytes) == (5000, 262144)
    assert (offer.ice_ufrag, offer.ice_pwd) == ("h9Xk", "bJt0r7o1VnP0Cq9ZkWm2/Lx+")
    assert offer.fingerprints == (Fingerprint("sha-256", FINGERPRINT),)
    assert offer.setup == "passive"
    # the name that hides an address and the TCP one cannot be used
    assert [(c.address, c.port, c.type) for c in offer.candidates] == [("203.0.113.7", 58271, "srflx")]


def test_an_offer_of_firefox_has_its_fingerprint_in_the_session() -> None:
    offer = parse_offer(FIREFOX)
    assert offer.audio is not None and offer.data is not None
    assert list(offer.audio.codecs.items()) == [(109, "opus"), (9, "G722"), (0, "PCMU"), (8, "PCMA")]
    assert offer.fingerprints == (Fingerprint("sha-256", FINGERPRINT),)
    assert offer.ice_ufrag == "7d2c91ab"
    assert offer.data.max_message_bytes == 1073741823
    assert offer.candidates == ()


def test_video_in_an_offer_of_safari_is_declined_and_the_rest_is_taken() -> None:
    offer = parse_offer(SAFARI)
    assert [(part.kind, part.accepted) for part in offer.sections] == [
        ("audio", True),
        ("video", False),
        ("application", True),
    ]
    lines = answer(SAFARI).split("\r\n")
    assert "a=group:BUNDLE 0 2" in lines
    assert [line for line in lines if line.startswith("m=")] == [
        "m=audio 5004 UDP/TLS/RTP/SAVPF 111 9 0 8",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "m=application 5004 UDP/DTLS/SCTP webrtc-datachannel",
    ]


@pytest.mark.parametrize("name", sorted(REAL))
def test_an_answer_is_complete(name: str) -> None:
    text = answer(REAL[name])
    assert text.endswith("\r\n") and "\n" not in text.replace("\r\n", "")
    assert "a=setup:passive\r\n" in text
    assert text.count("a=candidate:") == 2 and text.count("a=end-of-candidates") == 1
    assert re.search(r"a=fmtp:\d+ minptime=10;useinbandfec=1\r\n", text)
    for line in ("a=ptime:20", "a=maxptime:20", "a=rtcp-mux", "a=sendrecv", "a=sctp-port:5000"):
        assert f"{line}\r\n" in text
    assert "a=max-message-size:262144\r\n" in text
    assert "a=ssrc:77 cname:us\r\n" in text
    for unasked in ("abs-send-time", "audio-level", "transport-wide-cc", "telephone-event", "red/", "CN/", "rtcp-fb"):
        assert unasked not in text


@pytest.mark.parametrize("name", sorted(REAL))
def test_another_implementation_reads_our_answer_as_it_is_meant(name: str) -> None:
    theirs = aiortc.sdp.SessionDescription.parse(answer(REAL[name]))
    audio, data = (next(m for m in theirs.media if m.kind == kind) for kind in ("audio", "application"))
    assert (audio.dtls.role, audio.ice.usernameFragment, audio.rtcp_mux) == ("server", "abcd", True)
    assert [codec.mimeType for codec in audio.rtp.codecs] == ["audio/opus", "audio/G722", "audio/PCMU", "audio/PCMA"]
    assert [(c.ip, c.port, c.type) for c in audio.ice_candidates] == [
        ("192.0.2.9", 5004, "host"),
        ("198.51.100.4", 5004, "srflx"),
    ]
    assert data.sctp_port == 5000
    assert theirs.group[0].items == [m.rtp.muxId for m in theirs.media if m.port]


@pytest.mark.parametrize(
    ("offered", "ours"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_a_direction_is_answered_by_its_mirror(offered: str, ours: str) -> None:
    text = CHROMIUM.replace("a=sendrecv", f"a={offered}")
    audio = parse_offer(text).audio
    assert audio is not None and audio.direction == ours
    assert (audio.we_send, audio.we_receive) == ("send" in ours, ours in ("sendrecv", "recvonly"))
    assert f"a={ours}\r\n" in answer(text)
    assert ("a=ssrc:" in answer(text)) == ("send" in ours)


def test_a_direction_may_stand_in_the_session_or_nowhere() -> None:
    bare = without(CHROMIUM, "a=sendrecv")
    assert "a=sendrecv" in answer(bare)
    assert "a=recvonly" in answer(bare.replace("t=0 0", "t=0 0\r\na=sendonly"))


@pytest.mark.parametrize(("offered", "ours"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")])
def test_the_dtls_role_is_the_one_the_offer_leaves(offered: str, ours: str) -> None:
    assert parse_offer(CHROMIUM.replace("setup:actpass", f"setup:{offered}")).setup == ours


def test_the_order_of_the_offer_is_kept_and_static_types_need_no_map() -> None:
    text = CHROMIUM.replace("111 63 9 0 8 13 110 126", "8 111 0 9")
    audio = parse_offer(without(text, "a=rtpmap:8")).audio
    assert audio is not None and list(audio.codecs.values()) == ["PCMA", "opus", "PCMU", "G722"]


def test_a_payload_type_is_what_its_map_says() -> None:
    audio = parse_offer(CHROMIUM.replace("rtpmap:0 PCMU/8000", "rtpmap:0 L16/44100")).audio
    assert audio is not None and 0 not in audio.codecs


@pytest.mark.parametrize("number", [0, 1])
def test_one_section_alone_needs_no_bundle(number: int) -> None:
    text = section(CHROMIUM, number)
    offer = parse_offer(text)
    assert (offer.audio is None, offer.data is None) == (number == 1, number == 0)
    assert "a=group" not in answer(text) and "a=candidate" in answer(text)


def test_the_transport_is_that_of_the_first_section_of_the_bundle_that_is_taken() -> None:
    text = SAFARI.replace("BUNDLE 0 1 2", "BUNDLE 1 2 0")
    offer = parse_offer(text)
    assert offer.transport_mid == "2"
    lines = answer(text).split("\r\n")
    assert "a=group:BUNDLE 2 0" in lines
    assert lines.index("a=mid:2") < next(k for k, line in enumerate(lines) if line.startswith("a=candidate"))


def test_line_ends_without_carriage_return_are_taken() -> None:
    assert parse_offer(CHROMIUM.replace("\r\n", "\n")) == parse_offer(CHROMIUM)


def test_unknown_fingerprints_beside_a_known_one_are_skipped() -> None:
    text = CHROMIUM.replace("a=setup", "a=fingerprint:md5 AA:BB\r\na=setup").replace("sha-256", "SHA-256")
    assert parse_offer(text).fingerprints == (Fingerprint("sha-256", FINGERPRINT),)


def test_a_lite_agent_is_recognised() -> None:
    assert parse_offer(CHROMIUM.replace("t=0 0", "t=0 0\r\na=ice-lite")).ice_lite
    assert not parse_offer(CHROMIUM).ice_lite


REFUSED = {
    "nothing": ("", "'v=0'"),
    "no SDP": ("hello", "'v=0'"),
    "JSON": ('{"sdp": "v=0"}', "'v=0'"),
    "too large": (CHROMIUM + "a=x:" + "y" * 16384, "16384 bytes"),
    "too large in bytes": (CHROMIUM + "a=x:" + "é" * 8000, "16384 bytes"),
    "a line without a letter": (CHROMIUM + "nonsense\r\n", "'nonsense'"),
    "no media": (CHROMIUM.split("m=")[0], "m=audio"),
    "only video": (section(SAFARI, 1), "m=audio"),
    "audio declined by its offerer": (section(CHROMIUM, 0).replace("m=audio 58271", "m=audio 0"), "neither"),
    "two audio lines": (CHROMIUM + "m=audio" + SAFARI.split("m=audio")[1].split("m=")[0].replace("d:0", "d:9"), "two"),
    "two application lines": (
        CHROMIUM + "m=application" + CHROMIUM.split("m=application")[1].replace("mid:1", "mid:2"),
        "two m=application",
    ),
    "many lines": (CHROMIUM + "m=video 9 X 1\r\n" * 20, "16 m="),
    "no bundle": (without(CHROMIUM, "a=group"), "a=group:BUNDLE"),
    "half a bundle": (CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 0"), "a=group:BUNDLE"),
    "no mux": (without(CHROMIUM, "a=rtcp-mux"), "a=rtcp-mux"),
    "the same mid twice": (CHROMIUM.replace("a=mid:1", "a=mid:0"), "mid '0'"),
    "a mid that is no token": (CHROMIUM.replace("a=mid:1", "a=mid:a b"), "mid 'a b'"),
    "no codec of ours": (CHROMIUM.replace("111 63 9 0 8 13 110 126", "63 13 110 126"), "opus/48000/2"),
    "a payload type too high": (CHROMIUM.replace("111 63", "111 163"), "'163'"),
    "a payload type that is a word": (CHROMIUM.replace("111 63", "111 opus"), "'opus'"),
    "plain RTP": (CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "'RTP/AVP'"),
    "an m line cut short": (
        CHROMIUM.replace("m=audio 58271 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", "m=audio"),
        "m=",
    ),
    "a port that is a word": (CHROMIUM.replace("m=audio 58271", "m=audio nine"), "no port"),
    "no ufrag": (without(CHROMIUM, "a=ice-ufrag"), "a=ice-ufrag"),
    "a short password": (CHROMIUM.replace("bJt0r7o1VnP0Cq9ZkWm2/Lx+", "short"), "a=ice-pwd"),
    "no fingerprint": (without(CHROMIUM, "a=fingerprint"), "a=fingerprint"),
    "a weak fingerprint": (CHROMIUM.replace("sha-256", "sha-1"), "sha-256"),
    "a fingerprint cut short": (CHROMIUM.replace(FINGERPRINT, FINGERPRINT[:-3]), "32 hex pairs"),
    "a fingerprint of other letters": (CHROMIUM.replace(FINGERPRINT, "G" + FINGERPRINT[1:]), "32 hex pairs"),
    "no setup": (without(CHROMIUM, "a=setup"), "a=setup:actpass"),
    "a held connection": (CHROMIUM.replace("actpass", "holdconn"), "a=setup:actpass"),
    "an SCTP port too high": (CHROMIUM.replace("sctp-port:5000", "sctp-port:70000"), "a=sctp-port:70000"),
    "an SCTP port of zero": (CHROMIUM.replace("sctp-port:5000", "sctp-port:0"), "a=sctp-port:0"),
    "a message size that is a word": (CHROMIUM.replace("message-size:262144", "message-size:big"), "max-message-size"),
    "data channels of old": (CHROMIUM.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"), "m=application"),
    "a candidate cut short": (with_candidates(CHROMIUM, ["1 1 udp 1"]), "a=candidate"),
    "a candidate with a word for a port": (with_candidates(CHROMIUM, ["1 1 udp 1 192.0.2.1 x typ host"]), "the port"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_an_offer_that_cannot_be_answered_is_refused_by_name(case: str) -> None:
    text, named = REFUSED[case]
    with pytest.raises(BadOffer) as caught:
        parse_offer(text)
    message = str(caught.value)
    assert named in message and message.endswith(".") and "\n" not in message and len(message) < 250


@pytest.mark.parametrize("count", [21, 100, 2_000, 20_000])
def test_too_many_candidates_are_refused(count: int) -> None:
    lines = [f"{k} 1 udp 99 10.{k >> 16}.{(k >> 8) & 255}.{k & 255} 5000 typ host" for k in range(count)]
    with pytest.raises(BadOffer, match="candidates"):
        parse_offer(with_candidates(CHROMIUM, lines))


def test_twenty_candidates_are_taken_and_those_that_cannot_be_used_do_not_count() -> None:
    usable = [f"1 1 udp 99 192.0.2.{k} 5000 typ host" for k in range(20)]
    unusable = [f"1 1 tcp 99 192.0.2.{k} 9 typ host tcptype active" for k in range(20)]
    offer = parse_offer(with_candidates(CHROMIUM, usable + unusable + usable))
    assert len(offer.candidates) == 20


@pytest.mark.parametrize(
    "line",
    [
        "1 1 tcp 99 192.0.2.1 5000 typ host",
        "1 2 udp 99 192.0.2.1 5000 typ host",
        "1 1 udp 99 192.0.2.1 0 typ host",
        "1 1 udp 99 example.com 5000 typ host",
        "1 1 udp 99 a.local 5000 typ host",
        "1 1 udp 99 224.0.0.1 5000 typ host",
        "1 1 udp 99 255.255.255.255 5000 typ host",
        "1 1 udp 99 0.0.0.0 5000 typ host",
        "1 1 udp 99 0.1.2.3 5000 typ host",
        "1 1 udp 99 :: 5000 typ host",
        "1 1 udp 99 ff02::1 5000 typ host",
        "1 1 udp 99 ::ffff:224.0.0.1 5000 typ host",
        "1 1 udp 99 fe80::1%eth0 5000 typ host",
        "1 1 udp 99 192.0.2.1 5000 typ strange",
    ],
)
def test_a_candidate_that_cannot_be_used_is_left_out(line: str) -> None:
    assert parse_candidate(line) is None


def test_local_addresses_are_checked_only_from_a_local_address() -> None:
    texts = ("127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:127.0.0.1", "192.0.2.1", "10.0.0.1")
    candidates = [parse_candidate(f"1 1 udp 99 {text} 5000 typ host") for text in texts]
    known = [candidate for candidate in candidates if candidate is not None]
    assert len(known) == len(texts)
    assert [c.address for c in reachable(known, ["192.0.2.9"])] == ["192.0.2.1", "10.0.0.1"]
    assert [c.address for c in reachable(known, ["127.0.0.1", "192.0.2.9"])] == ["192.0.2.1", "10.0.0.1"]
    assert [c.address for c in reachable(known, [])] == ["192.0.2.1", "10.0.0.1"]
    assert len(reachable(known, ["127.0.0.1"])) == len(texts)
    assert [c.address for c in reachable(known, ["127.0.0.1", "192.0.2.1"], only_here=True)] == [
        "127.0.0.1",
        "192.0.2.1",
    ]


@pytest.mark.parametrize(
    "filling",
    [
        "a=candidate:1 1 tcp 99 192.0.2.1 9 typ host\r\n",
        "a=extmap:1 x\r\n",
        "a=rtpmap:1 x/1\r\n",
        "a=fingerprint:sha-256 A\r\n",
        "a=group:BUNDLE 0 1\r\n",
        "m=video 9 X 1\r\n",
        "a=\r\n",
        "\r\n",
        "AA:",
        "1 ",
    ],
)
def test_work_grows_in_step_with_the_offer(filling: str) -> None:
    """Counted in calls and lines of Python, which no other load on the machine changes."""

    def work(size: int) -> int:
        text = CHROMIUM + (filling * size)[:size]
        count = 0

        def step(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
            nonlocal count
            count += 1
            return step

        before = sys.gettrace()
        sys.settrace(step)
        try:
            with contextlib.suppress(BadOffer):
                parse_offer(text)
        finally:
            sys.settrace(before)
        return count

    small, large = work(3_000), work(12_000)
    assert large <= 5 * small + 1000


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A real offer with lines dropped, doubled, swapped, cut or filled with something else."""
    lines = draw(st.sampled_from(sorted(REAL.values()))).split("\r\n")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(("drop", "double", "swap", "cut", "fill", "token")))
        if kind == "drop" and len(lines) > 1:
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
        elif kind == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "cut":
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
        elif kind == "fill":
            lines[at] = lines[at][:2] + draw(st.text(max_size=30))
        else:
            words = lines[at].split(" ")
            words[draw(st.integers(0, len(words) - 1))] = draw(st.text(max_size=12))
            lines[at] = " ".join(words)
    return "\r\n".join(lines)


def _answered_or_refused(text: str) -> None:
    try:
        offer = parse_offer(text)
    except BadOffer as refusal:
        assert str(refusal).endswith(".")
        return
    assert isinstance(offer, Offer)
    answered = write_answer(offer, LOCAL)
    assert answered.count("\r\nm=") == len(offer.sections)
    # nothing of the offer can add a line or a blank to the answer
    assert all(re.fullmatch(r"[a-z]=[\x20-\x7e]+", line) for line in answered.removesuffix("\r\n").split("\r\n"))
    aiortc.sdp.SessionDescription.parse(answered)


@given(mutated())
@settings(max_examples=600, deadline=None)
@example(CHROMIUM.replace("a=mid:0", "a=mid:0\x00"))
@example(CHROMIUM.replace("m=application", "m=application\u2028"))
@example(CHROMIUM + "\udc80")
def test_a_mutated_offer_is_answered_or_refused(text: str) -> None:
    _answered_or_refused(text)


@given(st.text(max_size=400).map(lambda text: "v=0\r\n" + text) | st.text(max_size=100))
@settings(max_examples=200, deadline=None)
def test_any_text_is_answered_or_refused(text: str) -> None:
    _answered_or_refused(text)
