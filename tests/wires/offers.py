"""Scope: an offer in the shape that browsers send it, for which nobody waits to be connected."""

_FINGERPRINT = ":".join(f"{(7 * k) % 256:02X}" for k in range(32))

AUDIO = """\
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:2884517309 1 udp 2122260223 127.0.0.1 9 typ host generation 0
a=mid:0
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
"""
DATA = """\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
"""


def offer(*sections: str) -> str:
    """An offer of these sections."""
    head = f"""\
v=0
o=- 5513209748513411523 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE {" ".join(str(at) for at in range(len(sections)))}
a=ice-ufrag:h9Xk
a=ice-pwd:bJt0r7o1VnP0Cq9ZkWm2/Lx+
a=fingerprint:sha-256 {_FINGERPRINT}
a=setup:actpass
"""
    return (head + "".join(sections)).replace("\n", "\r\n")


def only(codecs: str) -> str:
    """The audio section with these payload types alone."""
    kept = [
        line
        for line in AUDIO.splitlines()
        if not line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb")) or line.split(":")[1].split()[0] in codecs.split()
    ]
    return "\n".join(kept).replace("111 63 9 0 8 13 110", codecs) + "\n"
