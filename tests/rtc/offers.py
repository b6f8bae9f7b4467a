"""Scope: offers in the shape that clients send them, and what is changed in them."""

from __future__ import annotations

FINGERPRINT = ":".join(f"{(7 * k) % 256:02X}" for k in range(32))


def _crlf(text: str) -> str:
    return text.strip().replace("\n", "\r\n") + "\r\n"


CHROMIUM = _crlf(
    f"""
v=0
o=- 5513209748513411523 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS 2d9f8a0c-6c2a-4a1c-8d0c-1b1f5a7b9a10
m=audio 58271 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 203.0.113.7
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:2884517309 1 udp 2122260223 0b1c5c7e-8f0c-4c5e-9d5b-6a2d7f5d1e42.local 58271 typ host generation 0
a=candidate:842163049 1 udp 1685921535 203.0.113.7 58271 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-id 1
a=candidate:1467250027 1 tcp 1518214911 0b1c5c7e-8f0c-4c5e-9d5b-6a2d7f5d1e42.local 9 typ host tcptype active
a=ice-ufrag:h9Xk
a=ice-pwd:bJt0r7o1VnP0Cq9ZkWm2/Lx+
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:2d9f8a0c-6c2a-4a1c-8d0c-1b1f5a7b9a10 6f7b0e55-59a2-43e5-9d27-d5a2c1f2f8a9
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1399695169 cname:5Yc1n3uKJw6mCq0v
a=ssrc:1399695169 msid:2d9f8a0c-6c2a-4a1c-8d0c-1b1f5a7b9a10 6f7b0e55-59a2-43e5-9d27-d5a2c1f2f8a9
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:h9Xk
a=ice-pwd:bJt0r7o1VnP0Cq9ZkWm2/Lx+
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
"""
)

FIREFOX = _crlf(
    f"""
v=0
o=mozilla...THIS_IS_SDPARTA-99.0 8235210398734214571 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {FINGERPRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=candidate:0 1 UDP 2122252543 6c7e0d2a-31a5-4b43-8a5b-6f2f5d1e4242.local 51472 typ host
a=candidate:2 1 TCP 2105524479 6c7e0d2a-31a5-4b43-8a5b-6f2f5d1e4242.local 9 typ host tcptype active
a=sendrecv
a=end-of-candidates
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:5b0f1c2e3d4a59687786a5b4c3d2e1f0
a=ice-ufrag:7d2c91ab
a=mid:0
a=msid:{{5d9b6e3c-11f9-4f2e-9d0e-2c8b7a6f5e4d}} {{0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9}}
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
a=ssrc:2720153473 cname:{{f8c2d0e1-7a6b-4c5d-8e9f-0a1b2c3d4e5f}}
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=sendrecv
a=ice-pwd:5b0f1c2e3d4a59687786a5b4c3d2e1f0
a=ice-ufrag:7d2c91ab
a=mid:1
a=setup:actpass
a=sctp-port:5000
a=max-message-size:1073741823
"""
)

SAFARI = _crlf(
    f"""
v=0
o=- 741095173208365412 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qz+4
a=ice-pwd:m5N2t8W0xYbRk3ZcVq7LpA1d
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:- 9f8e7d6c-5b4a-4938-8271-60f5e4d3c2b1
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qz+4
a=ice-pwd:m5N2t8W0xYbRk3ZcVq7LpA1d
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=recvonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:Qz+4
a=ice-pwd:m5N2t8W0xYbRk3ZcVq7LpA1d
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:2
a=sctp-port:5000
a=max-message-size:262144
"""
)

REAL = {"chromium": CHROMIUM, "firefox": FIREFOX, "safari": SAFARI}


def without(offer: str, start: str) -> str:
    """`offer` without the lines that begin so."""
    return "".join(line for line in offer.splitlines(True) if not line.startswith(start))


def section(offer: str, number: int) -> str:
    """`offer` with one of its m= sections only, and no bundle."""
    session, *media = offer.split("m=")
    return without(session, "a=group") + "m=" + media[number]


def with_candidates(offer: str, lines: list[str]) -> str:
    """`offer` with other candidates in its first section."""
    bare = without(offer, "a=candidate")
    return bare.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\n" + "".join(f"a=candidate:{line}\r\n" for line in lines), 1)
