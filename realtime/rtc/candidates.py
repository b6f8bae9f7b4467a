"""Reads the ICE candidates of an offer, and decides which of them are sent checks (RFC 8839 section 5.1). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

_TYPES = frozenset(("host", "srflx", "prflx", "relay"))


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """Says where the other side can be reached over UDP. `address` is a literal address in canonical form."""

    foundation: str
    priority: int
    address: str
    port: int
    type: str


def parse_candidate(value: str) -> RemoteCandidate | None:
    """Read the value of one `a=candidate` line; return None for a candidate that cannot be used here.

    That is one for TCP, for a second component, with an address that nobody can be reached at, or with a name in place
    of an address (mDNS: such a peer is found by its own checks). Raises ValueError for a line that is no candidate.
    """
    fields = value.split()
    if len(fields) < 8 or fields[6] != "typ":
        raise ValueError("too few fields")
    foundation, component, transport, priority, host, port, _, kind = fields[:8]
    if not (component.isascii() and component.isdigit() and priority.isascii() and priority.isdigit()):
        raise ValueError("component and priority are whole numbers")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535 and len(priority) <= 10):
        raise ValueError("the port is a number up to 65535")
    if transport.lower() != "udp" or component != "1" or kind not in _TYPES or int(port) == 0:
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.is_unspecified or address.is_multicast or _is_broadcast(address) or "%" in host:
        return None
    return RemoteCandidate(foundation[:32], min(int(priority), 2**31 - 1), str(address), int(port), kind)


def reachable(
    candidates: Iterable[RemoteCandidate], our_addresses: Iterable[str], only_here: bool = False
) -> tuple[RemoteCandidate, ...]:
    """Return the candidates that we may send checks to.

    Checks go to whatever address an offer names. So loopback and link-local ones count only between peers of one
    machine: when all our own addresses are loopback. With `only_here`, none but our own addresses count.
    """
    ours = [ipaddress.ip_address(address) for address in our_addresses]
    if only_here:
        return tuple(candidate for candidate in candidates if ipaddress.ip_address(candidate.address) in ours)
    at_home = bool(ours) and all(address.is_loopback for address in ours)
    return tuple(candidate for candidate in candidates if at_home or not _is_local(candidate.address))


def _is_local(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_link_local


def _is_broadcast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return mapped is not None and (mapped.is_unspecified or mapped.is_multicast or _is_broadcast(mapped))
    return int(address) == 0xFFFFFFFF or int(address) >> 24 == 0
