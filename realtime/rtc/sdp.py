"""Reads session descriptions and writes the answer (RFC 8866, 9429, 8843).

Pure; parsing takes time linear in the offer, whose size is bounded first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from realtime.rtc.candidates import RemoteCandidate, parse_candidate

MAX_OFFER_BYTES = 16 * 1024
MAX_CANDIDATES = 20
MAX_SECTIONS = 16
MAX_MESSAGE_BYTES = 256 * 1024
"""Bounds a data channel message, either way. The answer announces it."""

CODECS: Mapping[str, str] = MappingProxyType(
    {"opus": "opus/48000/2", "G722": "G722/8000", "PCMU": "PCMU/8000", "PCMA": "PCMA/8000"}
)
"""The codecs we speak, and how `a=rtpmap` writes each."""

_STATIC_TYPES = {0: "PCMU", 8: "PCMA", 9: "G722"}
_FINGERPRINT_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_DEFAULT_SCTP_PORT = 5000
_DEFAULT_MESSAGE_BYTES = 64 * 1024  # RFC 8841 section 6
_MAX_FINGERPRINTS = 8
_SHOWN = 60
_MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
_DIRECTIONS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_SETUPS = {"actpass": "passive", "active": "passive", "passive": "active"}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~/-]{1,64}")
_DIGEST = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})*")
_ICE_UFRAG = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")  # RFC 8839 has fewer letters; deployed clients use these
_ICE_PWD = re.compile(r"[A-Za-z0-9+/=_-]{22,256}")


class BadOffer(ValueError):
    """Says why an offer cannot be answered: one sentence that names the line and what would be right."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identifies a certificate: `algorithm` in lower case, `value` as upper-case hex pairs between colons."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Section:
    """Describes one `m=` section. `mid` is empty where the offer gives none; `accepted` says whether we take part in
    it.
    """

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Audio:
    """Describes the offered audio.

    `codecs` maps payload types to the names of codecs we speak, in the offer's order. `direction` is ours, as the
    answer states it. `mid_extension` is the id of the header extension for mid, 0 without one.
    """

    mid: str
    codecs: Mapping[int, str]
    direction: str
    mid_extension: int

    @property
    def we_send(self) -> bool:
        """Tell whether we send audio."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def we_receive(self) -> bool:
        """Tell whether the peer sends audio."""
        return self.direction in ("sendrecv", "recvonly")


@dataclass(frozen=True, slots=True)
class DataChannels:
    """Says where the other side takes SCTP, and the largest message it takes in bytes (0: any size)."""

    mid: str
    port: int
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class Offer:
    """Holds a session description that we can answer.

    `setup` is our DTLS role, 'active' (client) or 'passive' (server). `transport_mid` is the section whose transport
    carries the bundle.
    """

    sections: tuple[Section, ...]
    bundled: bool
    transport_mid: str
    audio: Audio | None
    data: DataChannels | None
    ice_ufrag: str
    ice_pwd: str
    ice_lite: bool
    fingerprints: tuple[Fingerprint, ...]
    setup: str
    candidates: tuple[RemoteCandidate, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """Holds what the answer says of us.

    `candidates` are values of `a=candidate` lines. `host` and `port` are the default one, where a client without ICE
    would send. `ssrc` and `cname` are those of our audio.
    """

    session_id: int
    ice_ufrag: str
    ice_pwd: str
    fingerprints: tuple[Fingerprint, ...]
    candidates: tuple[str, ...]
    host: str
    port: int
    ssrc: int
    cname: str


@dataclass(slots=True)
class _Lines:
    """Holds the attributes of a session or of one section: for each name its values, in order."""

    media: tuple[str, ...] = ()
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str) -> str | None:
        values = self.attributes.get(name)
        return values[0] if values else None


def parse_offer(text: str) -> Offer:
    """Read what the offer `text` asks. Raises BadOffer, and nothing else, for one that cannot be answered."""
    if len(text) > MAX_OFFER_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_OFFER_BYTES:
        raise BadOffer(f"The offer is larger than {MAX_OFFER_BYTES} bytes; send one with fewer candidates and codecs.")
    session, media = _split(text)
    groups = [value.split()[1:] for value in session.attributes.get("group", ()) if value.split()[:1] == ["BUNDLE"]]
    bundle = groups[0] if groups else []

    audio: tuple[_Lines, Audio] | None = None
    data: tuple[_Lines, DataChannels] | None = None
    sections = []
    mids: set[str] = set()
    for lines in media:
        kind, port, protocol, *formats = lines.media
        mid = lines.first("mid") or ""
        if mid and (not _TOKEN.fullmatch(mid) or mid in mids):
            raise BadOffer(f"The mid {_shown(mid)} is used twice or is no token; give every m= line a name of its own.")
        mids.add(mid)
        offered = port != "0" or "bundle-only" in lines.attributes
        if kind == "audio" and offered:
            if audio is not None:
                raise BadOffer("The offer has two m=audio lines; offer one.")
            audio = (lines, _audio(lines, session, mid, protocol, formats))
        elif kind == "application" and offered:
            if data is not None:
                raise BadOffer("The offer has two m=application lines; offer one.")
            data = (lines, _data(lines, mid, protocol, formats))
        sections.append(Section(kind, protocol, tuple(formats), mid, offered and kind in ("audio", "application")))

    taken = [part[0] for part in (audio, data) if part is not None]
    if not taken:
        raise BadOffer("The offer has neither an m=audio line nor an m=application line; offer at least one of them.")
    taken_mids = [section.mid for section in sections if section.accepted]
    if len(taken) > 1 and not (all(taken_mids) and set(taken_mids) <= set(bundle)):
        raise BadOffer("The m= lines are not in one bundle; add 'a=group:BUNDLE' with the mids of all of them.")
    transport_mid = min(taken_mids, key=lambda mid: bundle.index(mid) if mid in bundle else len(bundle))
    carrier = next(lines for lines in taken if (lines.first("mid") or "") == transport_mid)
    if audio is not None and "rtcp-mux" not in audio[0].attributes:
        raise BadOffer("The m=audio section has no 'a=rtcp-mux'; add it, RTP and RTCP share one port here.")

    ufrag, pwd = _credentials(carrier, session)
    return Offer(
        sections=tuple(sections),
        bundled=bool(bundle),
        transport_mid=transport_mid,
        audio=audio[1] if audio is not None else None,
        data=data[1] if data is not None else None,
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        ice_lite="ice-lite" in session.attributes,
        fingerprints=_fingerprints(carrier, session),
        setup=_setup(carrier, session),
        candidates=_candidates(carrier),
    )


def write_answer(offer: Offer, local: Local) -> str:
    """Write the answer to `offer`. It is complete: all candidates are in it."""
    lines = ["v=0", f"o=- {local.session_id} 1 IN {_address(local.host)}", "s=-", "t=0 0"]
    if offer.bundled:
        accepted = [section.mid for section in offer.sections if section.accepted and section.mid]
        accepted.sort(key=lambda mid: mid != offer.transport_mid)  # the first one names the transport (RFC 9143)
        lines.append(f"a=group:BUNDLE {' '.join(accepted)}")
    for section in offer.sections:
        if not section.accepted:
            lines += [f"m={section.kind} 0 {section.protocol} {section.formats[0]}", "c=IN IP4 0.0.0.0"]
            lines += [f"a=mid:{section.mid}"] if section.mid else []
            lines += ["a=inactive"] if section.kind != "application" else []
        elif section.kind == "audio" and offer.audio is not None:
            lines += _media_line(section, local, [str(number) for number in offer.audio.codecs])
            lines += _transport_lines(offer, section, local)
            lines += _audio_lines(offer.audio, local)
        else:
            lines += _media_line(section, local, list(section.formats))
            lines += _transport_lines(offer, section, local)
            lines += [f"a=sctp-port:{_DEFAULT_SCTP_PORT}", f"a=max-message-size:{MAX_MESSAGE_BYTES}"]
    return "".join(f"{line}\r\n" for line in lines)


def _split(text: str) -> tuple[_Lines, list[_Lines]]:
    """Split an offer into the session's attributes and those of each section."""
    session = current = _Lines()
    media: list[_Lines] = []
    rows = text.split("\n")
    if rows[0].rstrip("\r") != "v=0":
        raise BadOffer("The offer does not begin with the line 'v=0'; send a session description (SDP).")
    for row in rows:
        row = row.rstrip("\r")
        if not row:
            continue
        if row[1:2] != "=":
            raise BadOffer(
                f"The line {_shown(row)} is no line of a session description; each is a letter, '=' and a value."
            )
        if row[0] == "m":
            current = _Lines(_media(row))
            media.append(current)
            if len(media) > MAX_SECTIONS:
                raise BadOffer(f"The offer has more than {MAX_SECTIONS} m= lines; offer audio and a data channel.")
        elif row[0] == "a":
            name, _, value = row[2:].partition(":")
            current.attributes.setdefault(name, []).append(value.strip())
    return session, media


def _media(row: str) -> tuple[str, ...]:
    fields = tuple(row[2:].split())
    if len(fields) < 4 or not all(_TOKEN.fullmatch(token) for token in fields):
        raise BadOffer(f"The line {_shown(row)} is not valid; an m= line has a kind, a port, a protocol and formats.")
    if not (fields[1].isascii() and fields[1].isdigit()):
        raise BadOffer(f"The line {_shown(row)} has no port; write 9 where none is known yet.")
    return fields


def _audio(lines: _Lines, session: _Lines, mid: str, protocol: str, formats: list[str]) -> Audio:
    if "TLS/RTP/SAVP" not in protocol:
        raise BadOffer(f"The m=audio line has the protocol {_shown(protocol)}; only UDP/TLS/RTP/SAVPF is spoken here.")
    named: dict[str, str] = {}
    for value in lines.attributes.get("rtpmap", ()):
        number, _, encoding = value.partition(" ")
        named[number] = encoding.strip()
    codecs: dict[int, str] = {}
    for format_ in formats:
        if not (format_.isascii() and format_.isdigit()) or len(format_) > 3 or int(format_) > 127:
            raise BadOffer(f"The m=audio line has the payload type {_shown(format_)}; it is a number up to 127.")
        codec = _codec(named.get(format_), int(format_))
        if codec is not None:
            codecs[int(format_)] = codec
    if not codecs:
        raise BadOffer(
            "The m=audio line offers none of opus/48000/2, G722/8000, PCMU/8000, PCMA/8000; add one of them."
        )
    directions = [name for name in _DIRECTIONS if name in lines.attributes]
    directions += [name for name in _DIRECTIONS if name in session.attributes]
    return Audio(
        mid, MappingProxyType(codecs), _DIRECTIONS[(directions or ["sendrecv"])[0]], _mid_extension(lines, mid)
    )


def _codec(encoding: str | None, number: int) -> str | None:
    if encoding is None:
        return _STATIC_TYPES.get(number)
    for name, written in CODECS.items():
        if encoding.lower() in (written.lower(), f"{written.lower()}/1"):
            return name
    return None


def _mid_extension(lines: _Lines, mid: str) -> int:
    """Return the id of the header extension that names a packet's section; 0 without one that fits a byte (RFC
    8285).
    """
    if not 1 <= len(mid) <= 16:
        return 0
    for value in lines.attributes.get("extmap", ()):
        number, _, uri = value.partition(" ")
        if uri.strip() == _MID_URI and number in {str(id_) for id_ in range(1, 15)}:
            return int(number)
    return 0


def _data(lines: _Lines, mid: str, protocol: str, formats: list[str]) -> DataChannels:
    if not protocol.endswith("/DTLS/SCTP") or formats[0] != "webrtc-datachannel":
        raise BadOffer("The m=application line is none for data channels; write 'UDP/DTLS/SCTP webrtc-datachannel'.")
    port = _number(lines, "sctp-port", _DEFAULT_SCTP_PORT, 65535)
    if port == 0:
        raise BadOffer("The line 'a=sctp-port:0' names no port; write 5000.")
    return DataChannels(mid, port, _number(lines, "max-message-size", _DEFAULT_MESSAGE_BYTES, 2**64))


def _number(lines: _Lines, name: str, default: int, most: int) -> int:
    value = lines.first(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > 20 or int(value) > most:
        raise BadOffer(f"The line {_shown(f'a={name}:{value}')} is not valid; the value is a number up to {most}.")
    return int(value)


def _credentials(lines: _Lines, session: _Lines) -> tuple[str, str]:
    ufrag = lines.first("ice-ufrag") or session.first("ice-ufrag") or ""
    pwd = lines.first("ice-pwd") or session.first("ice-pwd") or ""
    if not _ICE_UFRAG.fullmatch(ufrag):
        raise BadOffer("The offer has no valid 'a=ice-ufrag' line; it is 4 to 256 letters and digits.")
    if not _ICE_PWD.fullmatch(pwd):
        raise BadOffer("The offer has no valid 'a=ice-pwd' line; it is 22 to 256 letters and digits.")
    return ufrag, pwd


def _fingerprints(lines: _Lines, session: _Lines) -> tuple[Fingerprint, ...]:
    """Return the fingerprints of algorithms we know, each once."""
    found: dict[Fingerprint, None] = {}
    for value in lines.attributes.get("fingerprint") or session.attributes.get("fingerprint") or ():
        algorithm, _, digest = value.partition(" ")
        size = _FINGERPRINT_BYTES.get(algorithm.lower())
        if size is None:
            continue
        digest = digest.strip().upper()
        if not _DIGEST.fullmatch(digest) or len(digest) != 3 * size - 1:
            raise BadOffer(f"The line 'a=fingerprint:{algorithm}' has no digest; write {size} hex pairs and colons.")
        found[Fingerprint(algorithm.lower(), digest)] = None
    if not found:
        raise BadOffer("The offer has no 'a=fingerprint' line with sha-256, sha-384 or sha-512; add one.")
    if len(found) > _MAX_FINGERPRINTS:
        raise BadOffer(f"The offer has more than {_MAX_FINGERPRINTS} fingerprints; send those of one certificate.")
    return tuple(found)


def _setup(lines: _Lines, session: _Lines) -> str:
    value = lines.first("setup") or session.first("setup") or ""
    if value not in _SETUPS:
        raise BadOffer("The offer has no valid 'a=setup' line; an offer says 'a=setup:actpass'.")
    return _SETUPS[value]


def _candidates(lines: _Lines) -> tuple[RemoteCandidate, ...]:
    found: dict[tuple[str, int], RemoteCandidate] = {}
    for value in lines.attributes.get("candidate", ()):
        try:
            candidate = parse_candidate(value)
        except ValueError as error:
            raise BadOffer(f"The line {_shown(f'a=candidate:{value}')} is not valid: {error}.") from error
        if candidate is not None:
            found.setdefault((candidate.address, candidate.port), candidate)
            if len(found) > MAX_CANDIDATES:
                raise BadOffer(f"The offer has more than {MAX_CANDIDATES} candidates; send the best ones.")
    return tuple(found.values())


def _media_line(section: Section, local: Local, formats: list[str]) -> list[str]:
    return [f"m={section.kind} {local.port} {section.protocol} {' '.join(formats)}", f"c=IN {_address(local.host)}"]


def _transport_lines(offer: Offer, section: Section, local: Local) -> list[str]:
    lines = [f"a=mid:{section.mid}"] if section.mid else []
    if section.mid == offer.transport_mid:
        lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
        lines.append("a=end-of-candidates")
    lines += [f"a=ice-ufrag:{local.ice_ufrag}", f"a=ice-pwd:{local.ice_pwd}"]
    lines += [f"a=fingerprint:{print_.algorithm} {print_.value}" for print_ in local.fingerprints]
    return [*lines, f"a=setup:{offer.setup}"]


def _audio_lines(audio: Audio, local: Local) -> list[str]:
    lines = ["a=rtcp-mux", f"a={audio.direction}"]
    if audio.mid_extension:
        lines.append(f"a=extmap:{audio.mid_extension} {_MID_URI}")
    for number, codec in audio.codecs.items():
        lines.append(f"a=rtpmap:{number} {CODECS[codec]}")
        if codec == "opus":
            lines.append(f"a=fmtp:{number} minptime=10;useinbandfec=1")
    lines += ["a=ptime:20", "a=maxptime:20"]
    if audio.we_send:
        lines += ["a=msid:voice voice", f"a=ssrc:{local.ssrc} cname:{local.cname}"]
    return lines


def _address(host: str) -> str:
    return f"IP6 {host}" if ":" in host else f"IP4 {host}"


def _shown(text: str) -> str:
    return repr(text[:_SHOWN])
