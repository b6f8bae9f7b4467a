"""Scope: the page in Firefox, which calls from no loopback address and to none: the defaults have to do for it."""

from pathlib import Path

import pytest
from aioice.ice import get_host_addresses

from tests.browser.bidi import firefox
from tests.serving.wire import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "Good morning. The train to the coast leaves at nine."
KEEP_CALLS = """() => {
    const Made = window.RTCPeerConnection;
    window.calls = [];
    window.RTCPeerConnection = class extends Made {
        constructor(...given) { super(...given); window.calls.push(this); }
    };
}"""
RECEIVED = """(async () => {
    const reports = [...(await window.calls[0].getStats()).values()];
    return reports.find(({ type }) => type === "inbound-rtp").packetsReceived;
})()"""


async def test_a_sentence_is_typed_and_spoken_over_webrtc(service: Service, tmp_path: Path) -> None:
    async with firefox(tmp_path) as tab:
        await tab.open(f"http://{service.address}/", KEEP_CALLS)
        await tab.value("document.getElementById('connect').click()")
        await tab.until("/over (WebRTC|WebSocket)/.test(document.body.innerText)")
        over = await tab.value("document.body.innerText.match(/over (WebRTC|WebSocket)/)[1]")
        assert over == ("WebRTC" if get_host_addresses(use_ipv4=True, use_ipv6=False) else "WebSocket")
        await tab.value(f"(document.getElementById('type-text').value = {TEXT!r})")
        await tab.value("document.getElementById('type-send').click()")
        await tab.until("document.getElementById('interrupt').disabled === false")
        await tab.until("document.getElementById('interrupt').disabled")
        assert str(await tab.value("document.body.innerText")).count(TEXT) >= 2, "asked, and spoken to its end"
        if over == "WebRTC":
            assert await tab.value(RECEIVED) > 100
