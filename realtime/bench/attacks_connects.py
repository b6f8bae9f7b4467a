"""Makes the calls of the second table of `voiced bench attacks`, in a process of its own.

`python -m realtime.bench.attacks_connects ADDRESS TEXT` is sent lines of "COUNT AT_A_TIME" and makes that many calls:
each connects, asks for TEXT, and hangs up on the first speech it hears. It answers how many did not come to that.
"""

from __future__ import annotations

import asyncio
import sys

from realtime.bench.attacks_companion import say, told
from realtime.bench.webrtc_listener import Unspoken, listener


async def main(address: str, text: str) -> None:
    """Make calls until there are no more lines."""
    while line := await told():
        count, at_a_time = map(int, line.split())
        places = asyncio.Semaphore(at_a_time)
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(_heard(address, text, places)) for _ in range(count)]
        say(sum(not call.result() for call in calls))


async def _heard(address: str, text: str, places: asyncio.Semaphore) -> bool:
    async with places:
        try:
            async with listener(address) as listening:
                async for _ in listening.say(text, asyncio.Event()):
                    return True
        except (Unspoken, OSError):  # a timeout is one
            pass
        return False


if __name__ == "__main__":
    _address, _text = sys.argv[1:]
    asyncio.run(main(_address, _text))
