"""Scope: callers who mean no good, against the whole server: refused or survived, while others are served."""

import asyncio
import re

import pytest

from tests.serving.asking import ask
from tests.serving.caller import SDP, caller, offer_of
from tests.serving.wire import Service, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
CALLS = "/v1/realtime/calls"


def _with_candidates(offer: str, count: int) -> bytes:
    lines = "".join(
        f"a=candidate:{n} 1 udp {n + 1} 192.0.2.{n % 250 + 1} {n % 60000 + 1024} typ host\r\n" for n in range(count)
    )
    return re.sub(r"(a=mid:0\r\n)", r"\1" + lines.replace("\\", ""), offer, count=1).encode()


@pytest.mark.parametrize(
    ("candidates", "status", "code"), [(200, 400, "invalid_offer"), (20_000, 413, "request_too_large")]
)
async def test_thousands_of_candidates_are_refused_while_somebody_is_spoken_to(
    resting: Service, candidates: int, status: int, code: str
) -> None:
    offer = _with_candidates(await offer_of(resting), candidates)
    async with caller(resting) as call:
        await call.start("A ship comes in.")
        for _ in range(5):
            reply = await ask(resting.address, "POST", CALLS, offer, SDP)
            assert (reply.status, reply.error["code"]) == (status, code)
        await call.until("output_audio_buffer.stopped")


async def test_so_many_offers_may_wait_and_no_more_and_each_is_gone_in_time(resting: Service) -> None:
    offer = (await offer_of(resting)).encode()
    waiting = [await ask(resting.address, "POST", CALLS, offer, SDP) for _ in range(9)]
    assert [reply.status for reply in waiting] == [201] * 9, "the server has room for nine"
    refused = await ask(resting.address, "POST", CALLS, offer, SDP)
    assert (refused.status, refused.error["code"]) == (503, "too_many_sessions")
    assert int(refused.headers["retry-after"]) > 0
    for reply in waiting:
        hung_up = await ask(resting.address, "POST", f"{reply.headers['location']}/hangup")
        assert hung_up.status == 200

    async def free() -> bool:
        return (await ask(resting.address, "POST", f"{waiting[0].headers['location']}/hangup")).status == 404

    async with asyncio.timeout(15):
        while not await free():
            await asyncio.sleep(0.05)
    async with caller(resting) as call:
        await call.start("A ship comes in.")
        await call.until("output_audio_buffer.stopped")


async def test_a_flood_of_events_is_served_or_hung_up_on_and_others_go_on(resting: Service) -> None:
    async with caller(resting) as quiet, caller(resting) as loud:
        await quiet.start("A ship comes in.")
        for _ in range(2000):
            loud.send("conversation.item.retrieve", item_id="none")
        await quiet.until("output_audio_buffer.stopped")
        await loud.close()
    await eventually(lambda: not resting.gateway.sessions, "both are gone", 20.0)
