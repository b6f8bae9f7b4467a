"""Attacks a server for `voiced bench attacks`, from a process of its own that runs at idle priority.

`python -m realtime.bench.attacks_strangers ADDRESS ATTACK SECONDS` gets ready and says "ready". When it is sent a line,
it attacks for SECONDS and says what was answered, with counts. It leaves when its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import repeat

from realtime.bench.attacks_companion import say, told
from realtime.bench.attacks_guests import Guest, Unfinished
from realtime.bench.attacks_offers import mutated, post, real_offer, with_candidates
from realtime.bench.webrtc_loopback import use_loopback

NO_ATTACK = "busy neighbour, no attack"

_OFFERS_PER_S = 50
_BIG_OFFERS_PER_S = 5
_MANY_CANDIDATES = 20_000
_TOO_MANY_CANDIDATES = 240
"""So many candidates are too many, and still fit the 16 KiB that an offer may have."""

_UNFINISHED = 16
_GARBAGE_PER_S = 1000
_RTP_PER_S = 500
_FLOODERS = 4
_FLOOD_WAITING_BYTES = 64 * 1024
_DEAF = 4
_LONG_EVENT = 50_000
_LONG_EVENTS_PER_S = 20

Strike = Callable[[float], Awaitable["Counter[str]"]]
"""Attacks for a number of seconds, and returns what came of it, with counts."""

Attack = Callable[[str], AbstractAsyncContextManager[Strike]]
"""Gets ready to attack the server at an address."""


@asynccontextmanager
async def _neighbour(address: str) -> AsyncIterator[Strike]:
    """Make no attack: use the CPU that attackers may use, and send nothing."""

    async def strike(seconds: float) -> Counter[str]:
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while clock() < until:
            hashlib.sha256(bytes(4096)).digest()
        return Counter()

    yield strike


def _posting(made_of: Callable[[str], Iterator[str]], per_s: float) -> Attack:
    """Attack with offers that `made_of` makes from a real one, `per_s` of them a second."""

    @asynccontextmanager
    async def attack(address: str) -> AsyncIterator[Strike]:
        offers = made_of(await real_offer())

        async def strike(seconds: float) -> Counter[str]:
            answered: Counter[str] = Counter()

            async def one(offer: bytes) -> None:
                answered[(await post(address, offer)).told] += 1

            async with asyncio.TaskGroup() as tasks:
                async for _ in _paced(per_s, seconds):
                    tasks.create_task(one(next(offers).encode()))
            return answered

        yield strike

    return attack


@asynccontextmanager
async def _handshake_garbage(address: str) -> AsyncIterator[Strike]:
    """Attack half-open calls that have a path with garbage in place of a handshake, and as much from an unknown
    address.
    """
    offer, chance = await real_offer(), random.Random(1)
    async with AsyncExitStack() as leaving:
        guests = [Unfinished() for _ in range(_UNFINISHED)]
        for guest in guests:
            leaving.push_async_callback(guest.leave)

        async def strike(seconds: float) -> Counter[str]:
            clock = asyncio.get_running_loop().time
            until = clock() + seconds
            answered = Counter(await asyncio.gather(*(guest.connect(address, offer) for guest in guests)))
            stranger = leaving.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            stranger.setblocking(False)
            async for number in _paced(_GARBAGE_PER_S, max(0.0, until - clock())):
                head = chance.choice((b"\x16\xfe\xff", b"\x16\xfe\xfd", b"\x15\xfe\xfd", b"\x17\xfe\xfd", b"\x20"))
                record = head + bytes(8) + chance.choice((b"\x00\x40\x01", b"\x00\x40", b"")) + chance.randbytes(64)
                guest = guests[number % len(guests)]
                await guest.throw(record)
                with contextlib.suppress(OSError):
                    stranger.sendto(record, guest.server)
                answered["datagrams"] += 2
            return answered

        yield strike


def _rtp(datagrams: Callable[[Guest, random.Random], Iterator[bytes]]) -> Attack:
    """Attack with the audio of a caller who is let in, ten times as much as a call has."""

    @asynccontextmanager
    async def attack(address: str) -> AsyncIterator[Strike]:
        async with _guests(address, 1) as (guest,):

            async def strike(seconds: float) -> Counter[str]:
                thrown: Counter[str] = Counter()
                making = datagrams(guest, random.Random(2))
                async for _ in _paced(_RTP_PER_S, seconds):
                    guest.throw(next(making))
                    thrown["packets"] += 1
                return thrown + _hung_up([guest])

            yield strike

    return attack


def _empty(guest: Guest, chance: random.Random) -> Iterator[bytes]:
    return iter(lambda: guest.sealed(b""), None)


def _garbage(guest: Guest, chance: random.Random) -> Iterator[bytes]:
    while True:
        if chance.random() < 0.5:
            yield guest.sealed(chance.randbytes(chance.randrange(1, 200)))
        else:
            yield guest.sealed_as_is(bytes([chance.randrange(128, 192)]) + chance.randbytes(chance.randrange(11, 60)))


def _longest(guest: Guest, chance: random.Random) -> Iterator[bytes]:
    return iter(lambda: guest.sealed(chance.randbytes(1275)), None)


def _replayed(guest: Guest, chance: random.Random) -> Iterator[bytes]:
    return repeat(guest.sealed(b"\xf8\xff\xfe"))


@asynccontextmanager
async def _flood(address: str) -> AsyncIterator[Strike]:
    """Attack with events as fast as the channel takes them, none of which means anything."""
    async with _guests(address, _FLOODERS) as guests:

        async def strike(seconds: float) -> Counter[str]:
            clock = asyncio.get_running_loop().time
            sent, until = 0, clock() + seconds
            while clock() < until:
                for guest in guests:
                    while guest.connected and guest.bytes_waiting < _FLOOD_WAITING_BYTES:
                        guest.send("conversation.item.retrieve", item_id="none")
                        sent += 1
                await asyncio.sleep(0.001)
            return Counter({"events": sent}) + _hung_up(guests)

        yield strike


@asynccontextmanager
async def _deaf(address: str) -> AsyncIterator[Strike]:
    """Attack by asking for long events and acknowledging none."""
    async with _guests(address, _DEAF) as guests:

        async def strike(seconds: float) -> Counter[str]:
            sent = 0
            part = {"type": "input_text", "text": "x" * _LONG_EVENT}
            for guest in guests:
                guest.acknowledge_nothing()
            async for _ in _paced(_LONG_EVENTS_PER_S, seconds):
                for guest in guests:
                    if guest.connected and guest.bytes_waiting < _FLOOD_WAITING_BYTES:
                        item = {"type": "message", "role": "user", "content": [part]}
                        guest.send("conversation.item.create", item=item)
                        sent += 1
            return Counter({"events": sent}) + _hung_up(guests)

        yield strike


ATTACKS: dict[str, Attack] = {
    NO_ATTACK: _neighbour,
    "1.2 MB offers": _posting(lambda offer: repeat(with_candidates(offer, _MANY_CANDIDATES)), _BIG_OFFERS_PER_S),
    "16 KiB offers": _posting(lambda offer: repeat(with_candidates(offer, _TOO_MANY_CANDIDATES)), _OFFERS_PER_S),
    "mutated offers": _posting(lambda offer: mutated(offer, seed=3), _OFFERS_PER_S),
    "half-open offers": _posting(lambda offer: repeat(offer), _OFFERS_PER_S),
    "handshake garbage": _handshake_garbage,
    "empty RTP": _rtp(_empty),
    "garbage RTP": _rtp(_garbage),
    "1275-byte RTP": _rtp(_longest),
    "replayed RTP": _rtp(_replayed),
    "event flood": _flood,
    "no acknowledgements": _deaf,
}


@asynccontextmanager
async def _guests(address: str, count: int) -> AsyncIterator[list[Guest]]:
    async with AsyncExitStack() as leaving:
        guests = [Guest() for _ in range(count)]
        for guest in guests:
            leaving.push_async_callback(guest.hang_up)
        for guest in guests:
            await guest.connect(address)
        yield guests


def _hung_up(guests: list[Guest]) -> Counter[str]:
    return Counter({"hung up on": sum(not guest.connected for guest in guests)})


async def _paced(per_s: float, seconds: float) -> AsyncIterator[int]:
    """Yield numbers at `per_s` a second, for `seconds`; what is overdue comes at once."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    for number in range(round(per_s * seconds)):
        await asyncio.sleep(max(0.0, begun + number / per_s - clock()))
        if clock() - begun > seconds:
            return
        yield number


def give_way() -> None:
    """Let all other processes run first, as far as the system knows how."""
    if hasattr(os, "sched_setscheduler") and hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


async def main(address: str, name: str, seconds: float) -> None:
    """Attack once."""
    use_loopback()
    async with ATTACKS[name](address) as strike:
        say("ready")
        if await told():
            say(await strike(seconds))
            await told()


if __name__ == "__main__":
    give_way()
    _address, _name, _seconds = sys.argv[1:]
    asyncio.run(main(_address, _name, float(_seconds)))
