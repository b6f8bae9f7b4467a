"""Scope: openai-python, unmodified, makes WebRTC calls; a peer connection of aiortc's is on the phone."""

from pathlib import Path

import pytest

from tests.interop.suite import LAST, Suite
from tests.serving.asking import Reply
from tests.serving.caller import Caller
from tests.serving.wire import Service, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("action", "voice"), [("raw", None), ("form", "otto")])
async def test_openai_python_makes_a_call_that_is_heard_and_hangs_it_up(
    resting: Suite, tmp_path: Path, action: str, voice: str | None
) -> None:
    caller = Caller(Service(resting.gateway, "ws://unused"))
    offer = tmp_path / "offer.sdp"
    offer.write_bytes((await caller.offer()).encode())
    try:
        made = (await resting.program("openai_calls.py", action, str(offer))).facts
        headers = {"content-type": made["kind"], "location": made["location"]}
        await caller.take(Reply(201, headers, made["answer"].encode()))
        (created,) = await caller.until("session.created")
        assert voice in (None, created["session"]["audio"]["output"]["voice"])
        await caller.start(LAST)
        await caller.until("output_audio_buffer.stopped")
        assert abs(caller.sound).max() > 0.01
        call_id = made["location"].rpartition("/")[2]
        assert call_id.startswith("rtc_")
        await resting.program("openai_calls.py", "hangup", call_id)
        await eventually(lambda: not resting.gateway.sessions, "the call is over")
    finally:
        await caller.close()
