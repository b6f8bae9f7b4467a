import asyncio, numpy as np, pytest, time
from playwright.async_api import expect
from tests.browser.test_browser_page import *
from tests.browser.conftest import *
pytestmark = pytest.mark.asyncio(loop_scope="session")
async def test_x(visit, service):
    lags=[]
    async def lag():
        while True:
            t=time.monotonic(); await asyncio.sleep(0.01); d=time.monotonic()-t-0.01
            if d>0.05: lags.append((round(time.monotonic(),2), round(d,3)))
    import gc
    began={}
    def cb(phase, info):
        if phase=="start": began[0]=time.monotonic()
        else:
            d=time.monotonic()-began[0]
            if d>0.03: print("GC", info, round(d,3))
    gc.callbacks.append(cb)
    task=asyncio.create_task(lag())
    visitor = await visit(home(service))
    visitor.will_say(sounds.pcm(np.concatenate([sounds.silence(8.0), sounds.clip("question")])), sounds.RATE)
    await visitor["connect"].click()
    await expect(visitor["transport"]).to_have_text("over WebRTC")
    with unhurried(service.gateway.engine):
        await types(visitor, LONG)
        await visitor.event("output_audio_buffer.started")
        for _ in range(60):
            s = await visitor.page.evaluate("async () => {const o=[...(await ears.peer.getStats()).values()].find((one) => one.type === 'inbound-rtp'); return [o.packetsReceived,o.packetsLost,o.concealedSamples,o.silentConcealedSamples,o.insertedSamplesForDeceleration,o.removedSamplesForAcceleration,Math.round(1000*o.jitterBufferDelay/o.jitterBufferEmittedCount), o.jitterBufferTargetDelay]}")
            print(round(await visitor.now_ms()), s, [e["event"]["type"][-20:] for e in await visitor.events()][-1], lags[-2:])
            await asyncio.sleep(0.25)
    task.cancel()
