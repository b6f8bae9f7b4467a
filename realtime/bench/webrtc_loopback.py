"""Puts aiortc on loopback, which it leaves out by itself.

Calls between processes of one machine need no other network, and find none where there is none.
"""

from __future__ import annotations

import aioice.ice

LOOPBACK = "127.0.0.1"


def use_loopback() -> None:
    """Make aiortc's connections in this process on loopback from now on, and nowhere else."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]
